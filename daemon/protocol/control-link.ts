import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { StarlingError } from '../errors.ts';
import {
  type Control,
  type ControlMessage,
  type ControlType,
  decodeControl,
  encodeControl,
  errorFrom,
  type OutgoingControl,
} from './control.ts';
import { type HeartbeatClock, startHeartbeat, systemClock } from './heartbeat.ts';
import { CLOSE_MS, type CloseReason, Link, linkError } from './link.ts';

export interface ControlLinkOptions {
  /** Milliseconds between pings. */
  readonly pingMs?: number;
  /** Milliseconds of silence after which the other side counts as lost. */
  readonly lostAfterMs?: number;
  readonly clock?: HeartbeatClock;
}

export const PING_MS = 500;
export const LOST_AFTER_MS = 2000;

/** Messages that may wait for a listener; a handshake needs one or two. */
const MAX_WAITING = 64;

interface Waiter {
  readonly types: readonly ControlType[];
  readonly resolve: (message: ControlMessage) => void;
  readonly reject: (error: StarlingError) => void;
}

/** Control messages to and from one device, with a heartbeat. Pings are answered here and never reach a listener. */
export class ControlLink extends Link {
  readonly #webSocket: WebSocket;
  readonly #waiters = new Set<Waiter>();
  readonly #early: ControlMessage[] = [];
  readonly #stopHeartbeat: () => void;
  #listener: ((message: ControlMessage) => void) | undefined;
  #pings = 0;
  /** For how long this process last slept, if it did. */
  #sleptMs = 0;

  /** @param socket the connection under `webSocket`, which must be open */
  constructor(webSocket: WebSocket, socket: Socket, options: ControlLinkOptions = {}) {
    super(socket);
    this.#webSocket = webSocket;
    webSocket.on('message', (data, isBinary) => this.guard(() => this.#receive(data, isBinary)));
    webSocket.on('error', (error) => this.finish(linkError(error, this.remote)));
    webSocket.on('close', (_code, reason) => this.finish(this.lost(reason.toString('latin1'))));
    this.#stopHeartbeat = startHeartbeat({
      intervalMs: options.pingMs ?? PING_MS,
      lostAfterMs: options.lostAfterMs ?? LOST_AFTER_MS,
      clock: options.clock ?? systemClock,
      received: () => socket.bytesRead,
      late: (ms) => {
        this.#sleptMs = ms;
      },
      ping: () => this.send({ t: 'ping', n: this.#pings++ >>> 0 }),
      lost: (silentMs) =>
        this.fail(
          new StarlingError(
            'device_lost',
            `nothing came from ${this.remote} for ${Math.round(silentMs)} ms: it is off, asleep or too busy, or the network between is gone, or keeps large packets back (a VPN or a firewall: try a smaller MTU)`,
          ),
        ),
    });
  }

  /** On a closed link this does nothing. @throws StarlingError protocol_frame_too_long */
  send(message: OutgoingControl): void {
    if (!this.closed) this.#webSocket.send(encodeControl(message), { binary: true });
  }

  /**
   * Hears every message that no `next` waits for, those included that came before. A listener that throws closes the
   * link with its error. There is one listener; a later one replaces it.
   */
  onMessage(listener: (message: ControlMessage) => void): void {
    this.#listener = listener;
    for (const message of this.#early.splice(0)) this.guard(() => listener(message));
  }

  /**
   * The next message of one of the types.
   * @throws StarlingError the other side's error if it sends one instead (unless `error` is among the types);
   * device_unreachable when nothing comes in time; cancelled by the signal or by close(); else why the link closed
   */
  next<const T extends readonly ControlType[]>(
    types: T,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Control<T[number]>> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        types,
        resolve: (message) => {
          stop();
          resolve(message as Control<T[number]>);
        },
        reject: (error) => {
          stop();
          reject(error);
        },
      };
      const abort = (): void =>
        waiter.reject(new StarlingError('cancelled', `stopped waiting for ${this.remote}`, { cause: signal?.reason }));
      const timer = setTimeout(() => {
        const wanted = types.join(' or ');
        waiter.reject(
          new StarlingError(
            'device_unreachable',
            `${this.remote} did not answer with ${wanted} within ${timeoutMs} ms`,
          ),
        );
      }, timeoutMs);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      if (signal?.aborted) abort();
      else this.#deliverEarly();
      // a link that is closed already tells so here
      if (this.closed) this.onClose((reason) => this.#rejectAll(reason));
    });
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (!isBinary || !Buffer.isBuffer(data)) {
      throw new StarlingError(
        'protocol_invalid_message',
        `${this.remote} sent text where only binary messages are allowed`,
      );
    }
    const message = decodeControl(data);
    if (message.t === 'ping') {
      this.send({ t: 'pong', n: message.n });
    } else if (message.t !== 'pong' && !this.#handOver(message)) {
      if (this.#listener !== undefined) {
        this.#listener(message);
      } else if (this.#early.push(message) > MAX_WAITING) {
        throw new StarlingError('protocol_invalid_message', `${this.remote} sent ${MAX_WAITING} messages unasked`);
      }
    }
  }

  protected override unheard(): string {
    if (this.#sleptMs === 0) return super.unheard();
    return `this computer was asleep or stopped for ${(this.#sleptMs / 1000).toFixed(1)} s, and ${this.remote} took it for gone`;
  }

  protected override shut(code: number, text: string): void {
    this.#webSocket.close(code, text);
  }

  protected override ended(reason: CloseReason): void {
    const webSocket = this.#webSocket;
    if (webSocket.readyState !== webSocket.CLOSED) {
      const timer = setTimeout(() => webSocket.terminate(), CLOSE_MS);
      webSocket.once('close', () => clearTimeout(timer));
    }
    this.#stopHeartbeat();
    this.#rejectAll(reason);
  }

  #rejectAll(reason: CloseReason): void {
    for (const waiter of this.#waiters) waiter.reject(this.closedError(reason));
  }

  #deliverEarly(): void {
    const held = this.#early.splice(0);
    this.#early.push(...held.filter((message) => !this.#handOver(message)));
  }

  /** @returns whether someone waited for this message */
  #handOver(message: ControlMessage): boolean {
    for (const waiter of this.#waiters) {
      if (waiter.types.includes(message.t)) {
        waiter.resolve(message);
        return true;
      }
      if (message.t === 'error') {
        waiter.reject(errorFrom(message, this.remote));
        return true;
      }
    }
    return false;
  }
}
