import { DEVICE_ID } from './identity.ts';
import { canonicalAddress, isLinkLocal, namesNoMachine } from './ip-address.ts';

/** A device that was heard on the LAN. A hint of where to dial, never a proof of who or whether it is there. */
export interface Peer {
  readonly id: string;
  readonly name: string;
  readonly keyId: string;
  readonly protocol: number;
  /** Its process; null where it does not tell. */
  readonly run: string | null;
  /** The address to dial first; the same as addresses[0]. */
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  /** Milliseconds of the clock that the table was given. */
  readonly lastSeen: number;
}

/** What mDNS carries, as far as it is used; anything on the LAN may have sent it. */
export interface Announcement {
  readonly name?: unknown;
  readonly port?: unknown;
  readonly txt?: unknown;
  readonly addresses?: unknown;
  /** The interface that it was heard on, as link-local IPv6 addresses need it; they are left out without it. */
  readonly zone?: string | undefined;
  /** Where the packet came from: on a host with several networks, the one address that surely works. */
  readonly referer?: { readonly address: string } | undefined;
}

const MAX_ADDRESSES = 8;
/** Of one device, over all networks that it is heard on. */
const MAX_KNOWN = 16;
const NAME = /^[\p{L}\p{N} _-]{1,63}$/u;
const KEY_ID = /^[0-9a-f]{8}$/;
const RUN = /^[0-9a-f]{16}$/;

/** @returns the peer, or null when any field is missing, malformed or out of bounds */
export function parseAnnouncement(announcement: Announcement, now: number): Peer | null {
  const { port, txt } = announcement;
  if (typeof txt !== 'object' || txt === null) return null;
  const id = field(txt, 'id');
  const name = field(txt, 'name');
  const keyId = field(txt, 'keyId');
  const protocol = field(txt, 'protocol');
  const run = field(txt, 'run');
  if (!DEVICE_ID.test(id) || announcement.name !== id) return null;
  if (!NAME.test(name) || !KEY_ID.test(keyId) || !/^[1-9]\d{0,4}$/.test(protocol)) return null;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return null;
  const addresses = dialable(announcement);
  const host = addresses[0];
  if (host === undefined) return null;
  return {
    id,
    name,
    keyId,
    protocol: Number(protocol),
    run: RUN.test(run) ? run : null,
    host,
    port,
    addresses,
    lastSeen: now,
  };
}

function field(txt: object, key: string): string {
  const value: unknown = Object.hasOwn(txt, key) ? Reflect.get(txt, key) : undefined;
  return typeof value === 'string' ? value : '';
}

/** The sender's own address first, then the others that can be dialled from another machine. */
function dialable({ referer, addresses, zone }: Announcement): string[] {
  const found = new Set<string>();
  if (referer !== undefined) found.add(canonicalAddress(referer.address) ?? '');
  found.delete('');
  for (const text of Array.isArray(addresses) ? addresses : []) {
    if (found.size === MAX_ADDRESSES) break;
    const address = typeof text === 'string' ? canonicalAddress(text) : null;
    // a zone is the listener's own: no other machine can know it
    if (address === null || address.includes('%') || namesNoMachine(address)) continue;
    if (!isLinkLocal(address) || !address.includes(':')) found.add(address);
    else if (zone !== undefined) found.add(`${address}%${zone}`);
  }
  return [...found];
}

export interface PeerTableOptions {
  /** More than any home has; bounds what a flood of announcements costs. */
  readonly maxPeers: number;
  /** Peers unheard for this long are dropped. */
  readonly expireMs: number;
}

interface Known {
  readonly peer: Peer;
  /** When each of its addresses was heard of last; it is heard on several networks, and each tells of some. */
  readonly addresses: ReadonlyMap<string, number>;
}

/** The peers heard lately. */
export class PeerTable {
  readonly #peers = new Map<string, Known>();
  readonly #options: PeerTableOptions;

  constructor(options: PeerTableOptions) {
    this.#options = options;
  }

  /** @returns true when this is news: a new peer, or one that moved or changed its name */
  seen(peer: Peer): boolean {
    const known = this.#peers.get(peer.id);
    if (known === undefined && this.#peers.size >= this.#options.maxPeers) return false;
    // one with another port or name was started anew, and may be elsewhere
    const before = known !== undefined && sameDevice(known.peer, peer) ? known.addresses : new Map<string, number>();
    const heard = peer.addresses.map((address): [string, number] => [address, peer.lastSeen]);
    const lately = [...before].filter(
      ([address, at]) => !peer.addresses.includes(address) && peer.lastSeen - at <= this.#options.expireMs,
    );
    const addresses = new Map([...heard, ...lately].slice(0, MAX_KNOWN));
    this.#peers.set(peer.id, { peer: { ...peer, addresses: [...addresses.keys()] }, addresses });
    return (
      known === undefined ||
      !sameDevice(known.peer, peer) ||
      addresses.size !== before.size ||
      [...addresses.keys()].some((address) => !before.has(address))
    );
  }

  /** @returns the peer that said goodbye, if it was known */
  remove(id: string): Peer | undefined {
    const known = this.#peers.get(id)?.peer;
    this.#peers.delete(id);
    return known;
  }

  /** Drops and returns those that were not heard for too long. */
  expire(now: number): Peer[] {
    const gone = this.list().filter((peer) => now - peer.lastSeen > this.#options.expireMs);
    for (const peer of gone) this.#peers.delete(peer.id);
    return gone;
  }

  list(): Peer[] {
    return [...this.#peers.values()].map(({ peer }) => peer).sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

const sameDevice = (a: Peer, b: Peer): boolean =>
  a.name === b.name && a.keyId === b.keyId && a.protocol === b.protocol && a.port === b.port;
