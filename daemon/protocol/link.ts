import type { Socket } from 'node:net';
import { StarlingError, toStarlingError } from '../errors.ts';
import { systemCode } from '../system-error.ts';

/** Why a link closed: null when this side closed it with `close()`; otherwise what went wrong. */
export type CloseReason = StarlingError | null;

/** What a closing handshake may take before the connection is cut. */
export const CLOSE_MS = 1000;

/**
 * The states are: open, then closed for good. `closed` is what the user of a link sees, at once; the socket follows.
 */
export abstract class Link {
  /** The other side's address and port, for messages. */
  readonly remote: string;
  /** The other side's IP address. */
  readonly remoteAddress: string;
  /** Whether the other side is on this computer. */
  readonly isLocal: boolean;
  readonly #closeListeners: ((reason: CloseReason) => void)[] = [];
  #reason: CloseReason | undefined;

  constructor(socket: Socket) {
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.remote = hostPort(this.remoteAddress, socket.remotePort ?? 0);
    this.isLocal = isSameComputer(this.remoteAddress, plainAddress(socket.localAddress));
  }

  get closed(): boolean {
    return this.#reason !== undefined;
  }

  /** Calls the listener once, when the link closes; soon, if it is closed already. */
  onClose(listener: (reason: CloseReason) => void): void {
    const reason = this.#reason;
    if (reason === undefined) this.#closeListeners.push(listener);
    else queueMicrotask(() => listener(reason));
  }

  /** Closes the link, after up to a second in which what was sent goes out; listeners hear null. */
  close(): void {
    this.#close(null, 1000, '');
  }

  /** Closes the link because of an error; listeners hear it, the other side its code. */
  fail(error: StarlingError): void {
    const code = error.code === 'protocol_frame_too_long' ? 1009 : error.code.startsWith('protocol_') ? 1002 : 1011;
    this.#close(error, code, error.code);
  }

  /** Tells the other side that this one closes. */
  protected abstract shut(code: number, text: string): void;

  /** Called once, before the listeners of `onClose`: the connection is to end within CLOSE_MS. */
  protected abstract ended(reason: CloseReason): void;

  protected finish(reason: CloseReason): void {
    if (this.closed) return;
    this.#reason = reason;
    this.ended(reason);
    for (const listener of this.#closeListeners.splice(0)) listener(reason);
  }

  /** The error when the other side has closed the link, for a reason that it may have given. */
  protected lost(theirReason: string): StarlingError {
    if (theirReason === 'protocol_version') {
      return new StarlingError(
        'protocol_version',
        `${this.remote} speaks another version of the protocol; run the same version of Starling on both`,
      );
    }
    if (theirReason === 'device_lost') return new StarlingError('device_lost', this.unheard());
    const why = /^[a-z_]{1,64}$/.test(theirReason) ? ` because of an error there (${theirReason}): see its log` : '';
    return new StarlingError('device_lost', `${this.remote} closed the link${why}`);
  }

  /** What is known when the other side heard nothing of this one for too long. */
  protected unheard(): string {
    return `${this.remote} heard nothing of this computer for too long: the network was gone, this computer asleep or too busy, or large packets do not come through (a VPN or a firewall: try a smaller MTU)`;
  }

  /** Why a wait cannot succeed any more. */
  protected closedError(reason: CloseReason): StarlingError {
    return reason ?? new StarlingError('cancelled', `the link to ${this.remote} was closed by this side`);
  }

  /** Runs what handles input; what it throws closes the link. On a closed link it does nothing. */
  protected guard(handle: () => void): void {
    if (this.closed) return;
    try {
      handle();
    } catch (thrown) {
      this.fail(toStarlingError(thrown));
    }
  }

  #close(reason: CloseReason, code: number, text: string): void {
    if (this.closed) return;
    this.shut(code, text);
    this.finish(reason);
  }
}

/** An error of the connection under a link, or of its WebSocket. */
export function linkError(error: Error, remote: string): StarlingError {
  const code = systemCode(error) ?? '';
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
    return new StarlingError('protocol_frame_too_long', `${remote} sent a message beyond the limit of its link`);
  }
  if (code.startsWith('WS_ERR_')) {
    return new StarlingError('protocol_invalid_message', `${remote} sent a malformed message (${code})`);
  }
  return new StarlingError('device_lost', `the link to ${remote} broke (${code || error.message})`, { cause: error });
}

/** An end of a connection; what listens over both families sees IPv4 addresses inside of IPv6 ones. */
export const plainAddress = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');

/** `host:port`, with brackets around IPv6. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/**
 * Whether a connection between these IP addresses stays on one computer. No other one can have it so: an answer to an
 * address of this computer never leaves it.
 */
export const isSameComputer = (remote: string, local: string): boolean =>
  remote !== '' && (remote === local || remote.startsWith('127.') || remote === '::1');
