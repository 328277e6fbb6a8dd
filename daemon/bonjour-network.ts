import { EventEmitter } from 'node:events';
import Bonjour from 'bonjour-service';
import { type Advertised, recordsOf, SERVICE_NAME, SERVICE_TYPE, type ServiceRecord } from './announcement.ts';
import type { Announcement } from './peers.ts';

export interface BonjourNetworkOptions {
  /** Sends a packet to everybody on the network. */
  readonly send: (packet: Uint8Array, done: () => void) => void;
  readonly onHeard: (announcement: Announcement) => void;
  /** @param name the instance's */
  readonly onGone: (name: string) => void;
}

/** The longest packet of multicast DNS: RFC 6762, section 17. */
const LONGEST_PACKET = 9000;
const HEADER_BYTES = 12;
/**
 * Of a packet, several times what devices send: the library takes time with the square of records, and answers each
 * question.
 */
const MOST_QUESTIONS = 32;
const MOST_RECORDS = 128;
/** A flood of announcements ends a round of browsing. */
const MOST_HEARD = 512;

/**
 * What the library reaches of itself: how records are answered and sent, of which its own way announces every
 * interface.
 */
interface Responder {
  register(records: readonly ServiceRecord[]): void;
  unregister(records: readonly ServiceRecord[]): void;
  readonly mdns: EventEmitter & { respond(records: readonly ServiceRecord[], done: () => void): void };
}

/** The socket that the library is given: packets go through one of ours, which is a member of its network. */
class Wire extends EventEmitter {
  readonly #send: BonjourNetworkOptions['send'];
  /** Packets of this turn: a question that is asked many times is answered once. */
  readonly #sent = new Set<string>();

  constructor(send: BonjourNetworkOptions['send']) {
    super();
    this.#send = send;
  }

  send(
    packet: Uint8Array,
    _from: number,
    _length: number,
    _port: number,
    _address: string,
    done = (): void => {},
  ): void {
    const text = Buffer.from(packet).toString('latin1');
    if (this.#sent.has(text)) {
      done();
      return;
    }
    if (this.#sent.size === 0) setImmediate(() => this.#sent.clear());
    this.#sent.add(text);
    this.#send(packet, () => done());
  }

  close(done = (): void => {}): void {
    done();
  }
}

/** Bonjour on one network: asks who is there, hears the answers, tells of this device, and answers who asks for it. */
export class BonjourNetwork {
  readonly #options: BonjourNetworkOptions;
  readonly #wire: Wire;
  readonly #bonjour: Bonjour;
  readonly #responder: Responder;
  #browser: InstanceType<typeof Bonjour.Browser> | undefined;
  #told: readonly ServiceRecord[] = [];

  constructor(options: BonjourNetworkOptions) {
    this.#options = options;
    this.#wire = new Wire(options.send);
    // The addresses are the wire's affair; the library only wants some.
    const socket = {
      socket: this.#wire,
      bind: false,
      multicast: false,
      interface: 'none',
      ip: '224.0.0.251',
      port: 5353,
    };
    this.#bonjour = new Bonjour(socket as object, () => {});
    this.#responder = (this.#bonjour as unknown as { server: Responder }).server;
    this.#responder.mdns.on('error', () => {});
    // A browser tells only of those that it has heard of itself who goes.
    this.#responder.mdns.on('response', ({ answers }: { answers: readonly ServiceRecord[] }) => {
      for (const { type, name, ttl, data } of answers) {
        if (type === 'PTR' && ttl === 0 && name === SERVICE_NAME) options.onGone(String(data).split('.')[0] ?? '');
      }
    });
  }

  /**
   * Asks all devices, with a browser of its own: the library's tells only of changes, so it cannot refresh what is
   * still there.
   */
  ask(): void {
    const { onHeard } = this.#options;
    this.#browser?.stop();
    const browser = this.#bonjour.find({ type: SERVICE_TYPE });
    const heard = (announcement: Announcement): void => {
      if (browser.services.length > MOST_HEARD) browser.stop();
      onHeard(announcement);
    };
    browser.on('up', heard).on('txt-update', heard).on('srv-update', heard);
    this.#browser = browser;
  }

  /** Tells of this device, and answers so from now on. */
  tell(device: Advertised, addresses: readonly string[]): void {
    this.#responder.unregister(this.#told);
    this.#told = recordsOf(device, addresses);
    this.#responder.register(this.#told);
    this.#responder.mdns.respond([...this.#told], () => {});
  }

  /** Says that this device goes, if it was told of. */
  sayGoodbye(done: () => void): void {
    if (this.#told.length === 0) {
      done();
      return;
    }
    this.#responder.unregister(this.#told);
    this.#responder.mdns.respond(
      this.#told.map((record) => ({ ...record, ttl: 0 })),
      done,
    );
    this.#told = [];
  }

  /** A packet came; anyone on the network may have sent it. */
  receive(packet: Uint8Array, from: string): void {
    if (packet.length < HEADER_BYTES || packet.length > LONGEST_PACKET) return;
    const [questions = 0, ...records] = [4, 6, 8, 10].map((at) => Buffer.from(packet).readUInt16BE(at));
    if (questions > MOST_QUESTIONS || records.reduce((sum, count) => sum + count, 0) > MOST_RECORDS) return;
    this.#wire.emit('message', packet, { address: from, port: 5353 });
  }

  close(): void {
    this.#browser?.stop();
    this.#bonjour.destroy();
  }
}
