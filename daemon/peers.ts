import { isIP } from 'node:net';
import { DEVICE_ID } from './identity.ts';

/** A device that was heard on the LAN. A hint of where to dial, never a proof of who or whether it is there. */
export interface Peer {
  readonly id: string;
  readonly name: string;
  readonly keyId: string;
  readonly protocol: number;
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
  /** Where the packet came from: on a host with several networks, the one address that surely works. */
  readonly referer?: { readonly address: string } | undefined;
}

const MAX_ADDRESSES = 8;
const NAME = /^[\p{L}\p{N} _-]{1,63}$/u;
const KEY_ID = /^[0-9a-f]{8}$/;

/** @returns the peer, or null when any field is missing, malformed or out of bounds */
export function parseAnnouncement(announcement: Announcement, now: number): Peer | null {
  const { port, txt } = announcement;
  if (typeof txt !== 'object' || txt === null) return null;
  const id = field(txt, 'id');
  const name = field(txt, 'name');
  const keyId = field(txt, 'keyId');
  const protocol = field(txt, 'protocol');
  if (!DEVICE_ID.test(id) || announcement.name !== id) return null;
  if (!NAME.test(name) || !KEY_ID.test(keyId) || !/^[1-9]\d{0,4}$/.test(protocol)) return null;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return null;
  const addresses = dialable(announcement);
  const host = addresses[0];
  if (host === undefined) return null;
  return { id, name, keyId, protocol: Number(protocol), host, port, addresses, lastSeen: now };
}

function field(txt: object, key: string): string {
  const value: unknown = Object.hasOwn(txt, key) ? Reflect.get(txt, key) : undefined;
  return typeof value === 'string' ? value : '';
}

/** The sender's own address first, then the others that can be dialled from another machine. */
function dialable({ referer, addresses }: Announcement): string[] {
  const found = new Set<string>();
  if (referer !== undefined && isIP(referer.address) !== 0) found.add(referer.address);
  for (const address of Array.isArray(addresses) ? addresses : []) {
    if (found.size === MAX_ADDRESSES) break;
    if (typeof address !== 'string' || isIP(address) === 0) continue;
    // unspecified, loopback and multicast addresses name no other machine; link-local IPv6 needs an interface too
    if (/^(0\.|127\.|22[4-9]\.|23\d\.|255\.|::1?$|fe[89ab]|ff)/i.test(address)) continue;
    found.add(address);
  }
  return [...found];
}

export interface PeerTableOptions {
  /** More than any home has; bounds what a flood of announcements costs. */
  readonly maxPeers: number;
  /** Peers unheard for this long are dropped. */
  readonly expireMs: number;
}

/** The peers heard lately. */
export class PeerTable {
  readonly #peers = new Map<string, Peer>();
  readonly #options: PeerTableOptions;

  constructor(options: PeerTableOptions) {
    this.#options = options;
  }

  /** @returns true when this is news: a new peer, or one that moved or changed its name */
  seen(peer: Peer): boolean {
    const known = this.#peers.get(peer.id);
    if (known === undefined && this.#peers.size >= this.#options.maxPeers) return false;
    this.#peers.set(peer.id, peer);
    return known === undefined || fingerprint(known) !== fingerprint(peer);
  }

  /** @returns the peer that said goodbye, if it was known */
  remove(id: string): Peer | undefined {
    const known = this.#peers.get(id);
    this.#peers.delete(id);
    return known;
  }

  /** Drops and returns those that were not heard for too long. */
  expire(now: number): Peer[] {
    const gone = [...this.#peers.values()].filter((peer) => now - peer.lastSeen > this.#options.expireMs);
    for (const peer of gone) this.#peers.delete(peer.id);
    return gone;
  }

  list(): Peer[] {
    return [...this.#peers.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

const fingerprint = (peer: Peer): string => JSON.stringify({ ...peer, lastSeen: 0 });
