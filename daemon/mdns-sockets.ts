import { isLinkLocal } from './ip-address.ts';
import { type MdnsNetwork, MdnsSocket, type MdnsSocketOptions } from './mdns-socket.ts';
import { type NetworkInterface, nearestFirst, zoneOf } from './network-interfaces.ts';

export interface MdnsSocketsOptions extends Pick<MdnsSocketOptions, 'onOpen' | 'onPacket'> {
  /** An IPv4 address of this machine, to use its network only; all of them otherwise. */
  readonly interface?: string;
  /** UDP port; 5353 unless a test keeps to itself. */
  readonly port?: number;
  readonly onError: (error: unknown, network: MdnsNetwork) => void;
}

const MDNS_PORT = 5353;
/** More than a home's computer has networks; bounds the sockets of one with hundreds of virtual ones. */
const MAX_NETWORKS = 32;
const LOOPBACK = '127.0.0.1';

/**
 * An mDNS socket for each network of this machine. One for all would ask and answer on a single network only, the one
 * that the system's routes choose: none without a router, and a VPN's while there is one.
 */
export class MdnsSockets {
  readonly #options: MdnsSocketsOptions;
  readonly #open = new Map<string, MdnsSocket>();

  constructor(options: MdnsSocketsOptions) {
    this.#options = options;
  }

  get all(): readonly MdnsSocket[] {
    return [...this.#open.values()];
  }

  /**
   * Opens sockets for networks that are new or whose socket has failed, and closes those of networks that are gone.
   * @returns whether there is a network that was not there before
   */
  refresh(interfaces: readonly NetworkInterface[]): boolean {
    const wanted = mdnsNetworks(interfaces, this.#options.interface);
    const keys = new Set(wanted.map(({ key }) => key));
    const known = new Set(this.#open.keys());
    this.closeWhere(({ network, failed }) => failed || !keys.has(network.key));
    for (const network of wanted) if (!this.#open.has(network.key)) this.#create(network);
    return wanted.some(({ key }) => !known.has(key));
  }

  closeWhere(unwanted: (socket: MdnsSocket) => boolean): void {
    for (const [key, socket] of this.#open) {
      if (!unwanted(socket)) continue;
      this.#open.delete(key);
      socket.close();
    }
  }

  #create(network: MdnsNetwork): void {
    const { port = MDNS_PORT, onOpen, onPacket, onError } = this.#options;
    const onFailure = (error: unknown): void => onError(error, network);
    this.#open.set(network.key, new MdnsSocket({ network, port, onOpen, onPacket, onError: onFailure }));
  }
}

/**
 * The networks to open sockets on: for each interface each of its IPv4 addresses, and IPv6 once. What tells them apart
 * is the interface, not its address alone: one that is removed and made again, as by a docking station, has lost its
 * memberships. Without any, the loopback one, where this machine's own devices still find each other.
 */
export function mdnsNetworks(interfaces: readonly NetworkInterface[], only?: string): MdnsNetwork[] {
  const networks = only === undefined ? nearestFirst(interfaces).flatMap(networksOf) : [];
  const lone = only ?? (networks.length === 0 ? LOOPBACK : undefined);
  if (lone !== undefined) return [{ key: lone, family: 4, name: '', interface: lone, addresses: [lone] }];
  return networks.slice(0, MAX_NETWORKS);
}

function networksOf(of: NetworkInterface): MdnsNetwork[] {
  const { name, index, mac, kind, addresses } = of;
  // a port of a bridge, one for each container, or a tunnel of the system's own: nobody is reached there
  if (kind !== 'network' && addresses.every(({ address }) => isLinkLocal(address))) return [];
  const key = (network: string): string => [name, index, mac, network].join(' ');
  const networks: MdnsNetwork[] = addresses
    .filter(({ family }) => family === 4)
    .map(({ address }) => ({ key: key(address), family: 4, name, interface: address, addresses: [address] }));
  const six = addresses.filter(({ family }) => family === 6).map(({ address }) => address);
  if (six.length > 0) {
    networks.push({ key: key('IPv6'), family: 6, name, interface: `::%${zoneOf(of)}`, addresses: six });
  }
  return networks;
}
