import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { StarlingError, toStarlingError } from '../errors.ts';
import { systemCode } from '../system-error.ts';

/** Why a link closed: null when this side closed it with `close()`; otherwise what went wrong. */
export type CloseReason = StarlingError | null;

/** What a closing handshake may take before the connection is cut. */
const CLOSE_MS = 1000;

/** The states are: open, then closed for good. `closed` is what the user of a link sees, at once; the socket follows. */
export abstract class SocketLink {
  /** The other side's address and port, for messages. */
  readonly remote: string;
  /** The other side's IP address. */
  readonly remoteAddress: string;
  /** Whether the other side is on this computer. */
  readonly isLocal: boolean;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #closeListeners: ((reason: CloseReason) => void)[] = [];
  #reason: CloseReason | undefined;

  /** @param socket the connection under `webSocket`, which must be open */
  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.remoteAddress = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    this.remote = hostPort(this.remoteAddress, socket.remotePort ?? 0);
    this.isLocal = isSameComputer(this.remoteAddress, (socket.localAddress ?? '').replace(/^::ffff:/, ''));
    webSocket.on('message', (data, isBinary) => this.#message(data, isBinary));
    webSocket.on('error', (error) => this.#finish(this.#explain(error)));
    webSocket.on('close', (_code, reason) => this.#finish(this.#lost(reason.toString('latin1'))));
  }

  get closed(): boolean {
    return this.#reason !== undefined;
  }

  /** Bytes that were sent and have not reached the operating system yet. */
  get bufferedAmount(): number {
    return this.#webSocket.bufferedAmount;
  }

  /** Calls the listener once, when the link closes; soon, if it is closed already. */
  onClose(listener: (reason: CloseReason) => void): void {
    const reason = this.#reason;
    if (reason === undefined) this.#closeListeners.push(listener);
    else queueMicrotask(() => listener(reason));
  }

  /** Closes the link, after up to a second in which what was sent goes out; listeners hear null. */
  close(): void {
    this.#shut(null, 1000, '');
  }

  /** Closes the link because of an error; listeners hear it, the other side its code. */
  fail(error: StarlingError): void {
    const code = error.code === 'protocol_frame_too_long' ? 1009 : error.code.startsWith('protocol_') ? 1002 : 1011;
    this.#shut(error, code, error.code);
  }

  /** Handles one binary message. */
  protected abstract receive(message: Buffer): void;

  /** Called once, before the listeners of `onClose`. */
  protected abstract ended(reason: CloseReason): void;

  /** Sends one message; on a closed link it does nothing, since `onClose` tells of that. */
  protected transmit(message: Buffer, flushed?: () => void): void {
    if (!this.closed) this.#webSocket.send(message, { binary: true }, () => flushed?.());
  }

  /** Bytes received so far, those of incomplete messages included. */
  protected get bytesReceived(): number {
    return this.#socket.bytesRead;
  }

  protected pause(): void {
    this.#webSocket.pause();
  }

  protected resume(): void {
    this.#webSocket.resume();
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

  #message(data: RawData, isBinary: boolean): void {
    this.guard(() => {
      if (!isBinary || !Buffer.isBuffer(data)) {
        throw new StarlingError(
          'protocol_invalid_message',
          `${this.remote} sent text where only binary messages are allowed`,
        );
      }
      this.receive(data);
    });
  }

  #shut(reason: CloseReason, code: number, text: string): void {
    if (this.closed) return;
    this.#webSocket.close(code, text);
    this.#finish(reason);
  }

  #finish(reason: CloseReason): void {
    if (this.closed) return;
    this.#reason = reason;
    if (this.#webSocket.readyState !== this.#webSocket.CLOSED) {
      // a paused connection would not see the other side's answer
      this.#webSocket.resume();
      const timer = setTimeout(() => this.#webSocket.terminate(), CLOSE_MS);
      this.#webSocket.once('close', () => clearTimeout(timer));
    }
    this.ended(reason);
    for (const listener of this.#closeListeners.splice(0)) listener(reason);
  }

  #lost(theirReason: string): StarlingError {
    if (theirReason === 'protocol_version') {
      return new StarlingError(
        'protocol_version',
        `${this.remote} speaks another version of the protocol; run the same version of Starling on both`,
      );
    }
    const why = /^[a-z_]{1,64}$/.test(theirReason) ? ` (${theirReason})` : '';
    return new StarlingError('device_lost', `${this.remote} closed the link${why}`);
  }

  #explain(error: Error): StarlingError {
    const code = systemCode(error) ?? '';
    if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
      return new StarlingError('protocol_frame_too_long', `${this.remote} sent a message beyond the limit of its link`);
    }
    if (code.startsWith('WS_ERR_')) {
      return new StarlingError('protocol_invalid_message', `${this.remote} sent a malformed message (${code})`);
    }
    return new StarlingError('device_lost', `the link to ${this.remote} broke (${code || error.message})`, {
      cause: error,
    });
  }
}

/** `host:port`, with brackets around IPv6. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/**
 * Whether a connection between these IP addresses stays on one computer. No other one can have it so: an answer to an address
 * of this computer never leaves it.
 */
export const isSameComputer = (remote: string, local: string): boolean =>
  remote !== '' && (remote === local || remote.startsWith('127.') || remote === '::1');
