import { createSocket, type Socket } from 'node:dgram';

/** One way to one network: an address of an interface, or the interface itself for IPv6. */
export interface MdnsNetwork {
  /** The same for as long as the interface is: one that was made again has another. */
  readonly key: string;
  readonly family: 4 | 6;
  /** The interface's name, empty for an address that belongs to none. */
  readonly name: string;
  /** How the system is told which interface is meant: its IPv4 address, or `::%zone`. */
  readonly interface: string;
  /** This machine's addresses there, without zones. */
  readonly addresses: readonly string[];
}

export interface MdnsSocketOptions {
  readonly network: MdnsNetwork;
  readonly port: number;
  readonly onOpen: (socket: MdnsSocket) => void;
  /** @param from the sender's address, with a zone where it is link-local */
  readonly onPacket: (packet: Uint8Array, from: string, socket: MdnsSocket) => void;
  /** Called once: the system refuses something, and the socket is of no use any more. */
  readonly onError: (error: unknown) => void;
}

/** RFC 6762, section 3. */
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;
/** RFC 6762, section 11. */
const TTL = 255;

/**
 * A member of the multicast group on one network. The system sends it its own packets back: when they stay away, so
 * does everything else, as after an interface was made again.
 */
export class MdnsSocket {
  readonly network: MdnsNetwork;
  readonly #options: MdnsSocketOptions;
  readonly #socket: Socket;
  #open = false;
  #failed = false;
  /** Something was sent, and nothing of ours came back since. */
  #unheard = false;

  constructor(options: MdnsSocketOptions) {
    const { network, port } = options;
    this.network = network;
    this.#options = options;
    this.#socket =
      network.family === 4
        ? createSocket({ type: 'udp4', reuseAddr: true })
        : createSocket({ type: 'udp6', reuseAddr: true, ipv6Only: true });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('message', (packet, { address }) => {
      if (this.#isOurs(address)) this.#unheard = false;
      options.onPacket(packet, address, this);
    });
    // bound to the interface's own address, the socket would hear no multicast
    this.#socket.bind(port, network.family === 4 ? '0.0.0.0' : '::', () => this.#join());
  }

  /** Whether it is of no use any more, and another is to be opened in its place. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether what was sent did not come back. */
  get deaf(): boolean {
    return this.#unheard;
  }

  /** Sends to everybody on the network; before the socket is open, nobody. */
  send(packet: Uint8Array, done: () => void = () => {}): void {
    const { network, port } = this.#options;
    if (!this.#open) {
      done();
      return;
    }
    this.#unheard = true;
    const zone = network.interface.split('%')[1];
    const to = zone === undefined ? GROUPS[network.family] : `${GROUPS[network.family]}%${zone}`;
    this.#socket.send(packet, port, to, (error) => {
      if (error !== null) this.#fail(error);
      done();
    });
  }

  close(): void {
    this.#open = false;
    // errors that follow change nothing
    this.#socket.removeAllListeners('error').on('error', () => {});
    try {
      this.#socket.close();
    } catch {
      // it was not running: nothing to close
    }
  }

  #join(): void {
    const { network, onOpen } = this.#options;
    try {
      this.#socket.addMembership(GROUPS[network.family], network.interface);
      this.#socket.setMulticastInterface(network.interface);
      this.#socket.setMulticastTTL(TTL);
      this.#socket.setMulticastLoopback(true);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#open = true;
    onOpen(this);
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#open = false;
    this.#options.onError(error);
  }

  /**
   * A socket may hear of other networks of this machine too, so not every packet proves that it is a member on its own.
   */
  #isOurs(from: string): boolean {
    return this.network.addresses.includes(from.split('%')[0] ?? '');
  }
}
