import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { type Advertised, announcedAddresses } from './announcement.ts';
import { BonjourNetwork } from './bonjour-network.ts';
import { COPIED, CopiedIdentities, type CopiedIdentity } from './copied-identities.ts';
import { dialOrder } from './dial-order.ts';
import { subnets } from './ip-address.ts';
import type { Logger } from './log.ts';
import type { MdnsNetwork, MdnsSocket } from './mdns-socket.ts';
import { MdnsSockets } from './mdns-sockets.ts';
import { type NetworkInterface, networkInterfaces, zoneOf } from './network-interfaces.ts';
import { type Announcement, type Peer, PeerTable, parseAnnouncement } from './peers.ts';
import { systemCode } from './system-error.ts';

export interface DiscoveryOptions {
  readonly id: string;
  /** What to tell others; without it this side only listens. */
  readonly advertise?: Omit<Advertised, 'id'>;
  /** Whether to look for others. */
  readonly browse: boolean;
  readonly log: Logger;
  /** IPv4 address of the one interface to use; all of them otherwise. */
  readonly interface?: string;
  /** UDP port; 5353 unless a test keeps to itself. */
  readonly port?: number;
  /** Milliseconds; expiry is measured with it. */
  readonly now?: () => number;
  /** Unheard for this long, a peer is dropped: three of the longest intervals. */
  readonly expireMs?: number;
}

const MAX_PEERS = 256;
const EXPIRE_MS = 90_000;
/** Between rounds, in which each network is asked and told: at first, and after doubling. */
const FIRST_ROUND_MS = 1000;
const LONGEST_ROUND_MS = 30_000;
/** Between looks at which networks there are. */
const REFRESH_MS = 2000;
/** By the clock on the wall; a timer that comes so late comes after a sleep of the machine, or of this process. */
const SLEPT_MS = 10_000;
/** Goodbyes are a courtesy; a network that swallows them must not hold up stopping. */
const GOODBYE_MS = 500;

/**
 * Advertises this device and listens for others over mDNS. What it hears are hints: anyone on the LAN can send them,
 * and a peer that is listed may be gone. Without multicast it warns once and hears nothing.
 */
export class Discovery extends EventEmitter<{ peer: [Peer]; gone: [Peer] }> {
  readonly #options: DiscoveryOptions;
  readonly #table: PeerTable;
  readonly #now: () => number;
  readonly #sockets: MdnsSockets;
  readonly #networks = new WeakMap<MdnsSocket, BonjourNetwork>();
  #interfaces: readonly NetworkInterface[] = [];
  #started = false;
  #timer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  /** Milliseconds, by the clock on the wall. */
  #refreshedAt = 0;
  #roundMs = FIRST_ROUND_MS;
  /** Keys of networks whose last socket failed. */
  readonly #failing = new Set<string>();
  #warned = false;
  #warnedOfCopy = false;
  readonly #copied = new CopiedIdentities();

  constructor(options: DiscoveryOptions) {
    super();
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#sockets = new MdnsSockets({
      ...options,
      onOpen: (socket) => this.#speak(socket),
      onPacket: (packet, from, socket) => this.#networkOf(socket).receive(packet, from),
      onError: (error, network) => this.#failed(error, network),
    });
    this.#table = new PeerTable({ maxPeers: MAX_PEERS, expireMs: options.expireMs ?? EXPIRE_MS });
  }

  /** Starts advertising and browsing; a second call does nothing. Never throws for want of a network. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#refreshedAt = Date.now();
    this.#refresh();
    this.#refreshTimer = setInterval(() => this.#refresh(), REFRESH_MS).unref();
  }

  /** Says goodbye and closes the sockets; returns within a second whatever the network does. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#refreshTimer);
    if (!this.#started) return;
    this.#started = false;
    const networks = this.#sockets.all.map((socket) => this.#networkOf(socket));
    await Promise.all(networks.map((network) => withinGoodbye((done) => network.sayGoodbye(done))));
    for (const network of networks) network.close();
    this.#sockets.closeWhere(() => true);
  }

  /** Those heard within the expiry time, in the order of their ids; the addresses of each nearest first. */
  peers(): Peer[] {
    this.#expire();
    return this.#table.list().map((peer) => this.#nearestFirst(peer));
  }

  /**
   * Follows the networks of this machine, which come and go: a laptop's Wi-Fi, a cable, a network that is up after
   * boot. After a sleep nothing is taken for what it was.
   */
  #refresh(): void {
    const slept = Date.now() - this.#refreshedAt > SLEPT_MS;
    this.#refreshedAt = Date.now();
    if (slept) this.#sockets.closeWhere(() => true);
    const before = JSON.stringify(this.#interfaces);
    this.#interfaces = networkInterfaces();
    const news = this.#sockets.refresh(this.#interfaces);
    if (news) this.#restartRounds();
    else if (JSON.stringify(this.#interfaces) !== before) {
      for (const socket of this.#sockets.all) this.#speak(socket);
      this.#restartRounds();
    }
  }

  #restartRounds(): void {
    this.#roundMs = FIRST_ROUND_MS;
    this.#nextRound();
  }

  #nextRound(): void {
    clearTimeout(this.#timer);
    // after what has come until then was read: a busy process is not to take its sockets for deaf
    this.#timer = setTimeout(() => setImmediate(() => this.#round()), this.#roundMs).unref();
  }

  /** Asks who is there and tells that this device is, again and again at growing intervals. */
  #round(): void {
    if (!this.#started) return;
    this.#expire();
    for (const { failed, deaf, network } of this.#sockets.all) if (!failed && !deaf) this.#failing.delete(network.key);
    this.#sockets.closeWhere(({ deaf }) => deaf);
    for (const socket of this.#sockets.all) this.#speak(socket);
    this.#sockets.refresh(this.#interfaces);
    this.#roundMs = Math.min(this.#roundMs * 2, LONGEST_ROUND_MS);
    this.#nextRound();
  }

  #speak(socket: MdnsSocket): void {
    const { advertise, id, browse } = this.#options;
    const network = this.#networkOf(socket);
    // Who only tells listens too, for another device of its id.
    if (browse || advertise?.run !== undefined) network.ask();
    if (advertise === undefined) return;
    network.tell({ ...advertise, id }, announcedAddresses(this.#interfaces, socket.network.name));
  }

  #networkOf(socket: MdnsSocket): BonjourNetwork {
    let network = this.#networks.get(socket);
    if (network === undefined) {
      network = new BonjourNetwork({
        send: (packet, done) => socket.send(packet, done),
        onHeard: (announcement) => this.#heard(announcement),
        onGone: (name) => {
          const gone = this.#started ? this.#table.remove(name) : undefined;
          if (gone !== undefined) this.emit('gone', gone);
        },
      });
      this.#networks.set(socket, network);
    }
    return network;
  }

  #heard({ name, port, txt, addresses, referer }: Announcement): void {
    // one that has said goodbye says no more
    if (!this.#started) return;
    this.#meet({ name, port, txt, addresses, referer, zone: this.#zoneOf(referer?.address ?? '') });
  }

  #meet(announcement: Announcement): void {
    const peer = parseAnnouncement(announcement, this.#now());
    if (peer === null) {
      this.#options.log.debug({ from: announcement.referer?.address }, 'ignored a malformed announcement');
      return;
    }
    this.#copied.heard(peer);
    if (peer.id === this.#options.id) this.#meetOwn(peer);
    else if (this.#options.browse && this.#table.seen(peer)) this.emit('peer', this.#nearestFirst(peer));
  }

  /** A device that is told of here is told of by another one too, or by this one: what it sends comes back. */
  #meetOwn({ name, host, run }: Peer): void {
    const { advertise, log } = this.#options;
    if (advertise?.run === undefined || run === null || run === advertise.run || this.#warnedOfCopy) return;
    this.#warnedOfCopy = true;
    log.warn(
      { device: name, address: host },
      `${name} at ${host} has the identity of this device, and of the two only one is used: ${COPIED}`,
    );
  }

  /** Ids that two devices were heard to have. */
  copiedIdentities(): CopiedIdentity[] {
    return this.#copied.list();
  }

  /** The zone of the link-local addresses that a sender tells of: that of the interface which leads to it. */
  #zoneOf(from: string): string | undefined {
    const [, zone] = from.split('%');
    if (zone !== undefined) return zone;
    const leads = this.#interfaces.find(({ addresses }) =>
      subnets(addresses.map(({ address, prefix }) => `${address}/${prefix}`))(from),
    );
    return leads === undefined ? undefined : zoneOf(leads);
  }

  #nearestFirst(peer: Peer): Peer {
    const addresses = dialOrder(peer.addresses, this.#interfaces);
    return { ...peer, addresses, host: addresses[0] ?? peer.host };
  }

  #expire(): void {
    for (const peer of this.#table.expire(this.#now())) this.emit('gone', peer);
  }

  #failed(error: unknown, network: MdnsNetwork): void {
    const { log } = this.#options;
    const why = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
    const of = this.#interfaces.find(({ name }) => name === network.name);
    // a network that is about to go fails once, and so does one that has just come
    const lasts = of === undefined || this.#failing.has(network.key);
    this.#failing.add(network.key);
    // a tunnel rarely carries multicast, and a network that has both families is heard over one of them
    const matters = of === undefined || (of.kind === 'network' && (network.family === 4 || !hasFour(of)));
    if (this.#warned || !lasts || !matters) {
      log.debug({ interface: network.name, family: network.family, why }, 'no mDNS on a network');
      return;
    }
    this.#warned = true;
    log.warn(
      `devices cannot be found by themselves on some network of this machine (mDNS: ${why}); name them with --peer host:port`,
    );
  }
}

const hasFour = ({ addresses }: NetworkInterface): boolean => addresses.some(({ family }) => family === 4);

/** Runs a callback-style step; resolves when it is done or takes too long. */
function withinGoodbye(step: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GOODBYE_MS);
    step(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
