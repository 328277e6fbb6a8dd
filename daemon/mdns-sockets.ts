import type { EventEmitter } from 'node:events';
import { networkInterfaces } from 'node:os';
import Bonjour from 'bonjour-service';
import { systemCode } from './system-error.ts';

export interface MdnsSocketsOptions {
  /** IPv4 address of the one interface to use; all of them otherwise. */
  readonly interface?: string;
  /** UDP port; 5353 unless a test keeps to itself. */
  readonly port?: number;
  readonly onError: (thrown: unknown) => void;
}

/** More than a home's computer has networks; bounds the sockets of one with hundreds of virtual ones. */
const MAX_INTERFACES = 32;

/**
 * An mDNS socket for each network of this machine. One for all would ask and answer on a single network only, the one that
 * the system's routes choose: none without a router, and a VPN's while there is one.
 */
export class MdnsSockets {
  readonly #options: MdnsSocketsOptions;
  readonly #open = new Map<string, Bonjour>();

  constructor(options: MdnsSocketsOptions) {
    this.#options = options;
  }

  get all(): readonly Bonjour[] {
    return [...this.#open.values()];
  }

  /** Opens sockets for networks that are new, and closes those of networks that are gone. @returns the new ones */
  refresh(): Bonjour[] {
    const wanted = this.#options.interface === undefined ? interfaceAddresses() : [this.#options.interface];
    for (const [address, bonjour] of this.#open) {
      if (wanted.includes(address)) continue;
      this.#open.delete(address);
      bonjour.destroy();
    }
    const added: Bonjour[] = [];
    for (const address of wanted) {
      if (this.#open.has(address)) continue;
      try {
        const bonjour = this.#create(address);
        this.#open.set(address, bonjour);
        added.push(bonjour);
      } catch (thrown) {
        this.#options.onError(thrown);
      }
    }
    return added;
  }

  /** Forgets all sockets. @returns them, for the caller to destroy */
  close(): Bonjour[] {
    const sockets = [...this.#open.values()];
    this.#open.clear();
    return sockets;
  }

  #create(address: string): Bonjour {
    const { port, onError } = this.#options;
    // bound to the interface's own address, the socket would hear no multicast
    const socketOptions = { interface: address, bind: '0.0.0.0', ...(port === undefined ? {} : { port }) };
    const bonjour = new Bonjour(socketOptions, onError);
    // The library leaves the errors of its socket unhandled (a taken port would end the process) and offers no public
    // way to them, so this reaches into it.
    const { mdns } = (bonjour as unknown as { server: { mdns: EventEmitter } }).server;
    mdns.on('error', onError);
    mdns.on('warning', (error) => {
      // malformed packets are reported here too; only the system's errors mean that something does not work
      if (/^E(?!RR_)/.test(systemCode(error) ?? '')) onError(error);
    });
    return bonjour;
  }
}

/** This machine's IPv4 addresses on networks; loopback, where its own devices still find each other, when there are none. */
function interfaceAddresses(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((addressed) => addressed ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
  return addresses.length === 0 ? ['127.0.0.1'] : addresses.slice(0, MAX_INTERFACES);
}
