import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { Bonjour, Browser, Service } from 'bonjour-service';
import type { Logger } from './log.ts';
import { MdnsSockets } from './mdns-sockets.ts';
import { type Peer, PeerTable, parseAnnouncement } from './peers.ts';
import { systemCode } from './system-error.ts';

export interface DiscoveryOptions {
  readonly id: string;
  /** What to tell others; without it this side only listens. */
  readonly advertise?: {
    readonly name: string;
    readonly keyId: string;
    readonly protocol: number;
    readonly port: number;
  };
  /** Whether to look for others. */
  readonly browse: boolean;
  readonly log: Logger;
  /** IPv4 address of the one interface to use; all of them otherwise. */
  readonly interface?: string;
  /** UDP port; 5353 unless a test keeps to itself. */
  readonly port?: number;
  /** Milliseconds; expiry is measured with it. */
  readonly now?: () => number;
  /** Unheard for this long, a peer is dropped: three of the longest query intervals. */
  readonly expireMs?: number;
}

const SERVICE_TYPE = 'starling';
const MAX_PEERS = 256;
const EXPIRE_MS = 90_000;
const FIRST_QUERY_MS = 1000;
const LONGEST_QUERY_MS = 30_000;
/** Between looks at which networks there are. */
const REFRESH_MS = 5000;
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
  #browsers: Browser[] = [];
  #started = false;
  #timer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  #queryMs = FIRST_QUERY_MS;
  #warned = false;

  constructor(options: DiscoveryOptions) {
    super();
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#sockets = new MdnsSockets({ ...options, onError: (thrown) => this.#warn(thrown) });
    this.#table = new PeerTable({ maxPeers: MAX_PEERS, expireMs: options.expireMs ?? EXPIRE_MS });
  }

  /** Starts advertising and browsing; a second call does nothing. Never throws for want of a network. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#refresh();
    this.#refreshTimer = setInterval(() => this.#refresh(), REFRESH_MS).unref();
    if (this.#options.browse) this.#query();
  }

  /** Says goodbye and closes the sockets; returns within a second whatever the network does. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#refreshTimer);
    if (!this.#started) return;
    this.#started = false;
    this.#stopBrowsers();
    const sockets = this.#sockets.close();
    await Promise.all(sockets.map((bonjour) => withinGoodbye((done) => bonjour.unpublishAll(done))));
    await Promise.all(sockets.map((bonjour) => withinGoodbye((done) => bonjour.destroy(done))));
  }

  /** Those heard within the expiry time, in the order of their ids. */
  peers(): Peer[] {
    this.#expire();
    return this.#table.list();
  }

  /** Follows the networks of this machine, which come and go: a laptop's Wi-Fi, a cable, a network that is up after boot. */
  #refresh(): void {
    const added = this.#sockets.refresh();
    const { advertise, id } = this.#options;
    if (advertise !== undefined) {
      const { name, keyId, protocol, port } = advertise;
      for (const bonjour of added) {
        // the id as instance name and host: two devices of one host name must not look like one
        bonjour.publish({
          name: id,
          type: SERVICE_TYPE,
          host: `${id}.local`,
          port,
          probe: false,
          txt: { id, name, keyId, protocol: String(protocol) },
        });
      }
    }
    // a network that has just come is asked at once, those there from the start by start()
    if (added.length === 0 || this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#queryMs = FIRST_QUERY_MS;
    this.#query();
  }

  /**
   * Asks who is there, again and again at growing intervals, each time with fresh browsers: the library's own tells
   * only of changes, so it can neither refresh what is still there nor forget what is not.
   */
  #query(): void {
    this.#stopBrowsers();
    this.#browsers = this.#sockets.all.map((bonjour) => this.#browse(bonjour));
    this.#expire();
    this.#timer = setTimeout(() => this.#query(), this.#queryMs).unref();
    this.#queryMs = Math.min(this.#queryMs * 2, LONGEST_QUERY_MS);
  }

  #browse(bonjour: Bonjour): Browser {
    const browser = bonjour.find({ type: SERVICE_TYPE });
    const heard = (service: Service): void => {
      if (browser.services.length > 2 * MAX_PEERS) browser.stop();
      this.#heard(service);
    };
    browser.on('up', heard);
    browser.on('txt-update', heard);
    browser.on('srv-update', heard);
    browser.on('down', (service) => {
      const gone = this.#table.remove(service.name);
      if (gone !== undefined) this.emit('gone', gone);
    });
    return browser;
  }

  #stopBrowsers(): void {
    for (const browser of this.#browsers) browser.stop();
    this.#browsers = [];
  }

  #heard(service: Service): void {
    const peer = parseAnnouncement(service, this.#now());
    if (peer === null) {
      this.#options.log.debug({ from: service.referer?.address }, 'ignored a malformed announcement');
      return;
    }
    if (peer.id !== this.#options.id && this.#table.seen(peer)) this.emit('peer', peer);
  }

  #expire(): void {
    for (const peer of this.#table.expire(this.#now())) this.emit('gone', peer);
  }

  #warn(thrown: unknown): void {
    if (this.#warned) return;
    this.#warned = true;
    const why = systemCode(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
    this.#options.log.warn(
      `devices cannot be found by themselves on some network of this machine (mDNS: ${why}); name them with --peer host:port`,
    );
  }
}

/** Runs a callback-style step; resolves when it is done, fails, or takes too long. */
function withinGoodbye(step: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GOODBYE_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    try {
      step(done);
    } catch {
      done();
    }
  });
}
