import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { BufferPool } from '../buffer-pool.ts';
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
import { decodeFrame, encodeFrame, type Frame, type FrameFields } from './frames.ts';
import { type HeartbeatClock, startHeartbeat, systemClock } from './heartbeat.ts';
import { type CloseReason, SocketLink } from './socket-link.ts';

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
export class ControlLink extends SocketLink {
  readonly #waiters = new Set<Waiter>();
  readonly #early: ControlMessage[] = [];
  readonly #stopHeartbeat: () => void;
  #listener: ((message: ControlMessage) => void) | undefined;
  #pings = 0;

  constructor(webSocket: WebSocket, socket: Socket, options: ControlLinkOptions = {}) {
    super(webSocket, socket);
    this.#stopHeartbeat = startHeartbeat({
      intervalMs: options.pingMs ?? PING_MS,
      lostAfterMs: options.lostAfterMs ?? LOST_AFTER_MS,
      clock: options.clock ?? systemClock,
      received: () => this.bytesReceived,
      ping: () => this.send({ t: 'ping', n: this.#pings++ >>> 0 }),
      lost: (silentMs) =>
        this.fail(new StarlingError('device_lost', `${this.remote} was silent for ${Math.round(silentMs)} ms`)),
    });
  }

  /** On a closed link this does nothing. @throws StarlingError protocol_frame_too_long */
  send(message: OutgoingControl): void {
    if (!this.closed) this.transmit(encodeControl(message));
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

  protected override receive(bytes: Buffer): void {
    const message = decodeControl(bytes);
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

  protected override ended(reason: CloseReason): void {
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

interface DrainWaiter {
  readonly limit: number;
  readonly resolve: () => void;
  readonly reject: (error: StarlingError) => void;
}

/** Frames of at least this many bytes are put together in memory that is used again. */
const POOLED_FRAME = 2 ** 18;
/** Such memory that a link keeps: for a frame that is being sent and the next. */
const KEPT_BYTES = 5 * 2 ** 19;

/** Frames to and from one device. Before `onFrame`, reading stops at the first frame: none is lost and none pile up. */
export class DataLink extends SocketLink {
  readonly #draining = new Set<DrainWaiter>();
  readonly #early: Frame[] = [];
  readonly #pool = new BufferPool(KEPT_BYTES);
  #listener: ((frame: Frame) => void) | undefined;

  /**
   * Sends one frame: the payloads, one after the other. They are copied before this returns. On a closed link it does
   * nothing.
   * @throws StarlingError protocol_frame_too_long; RangeError for a field that does not fit
   */
  send(fields: FrameFields, ...payloads: Uint8Array[]): void {
    if (this.closed) return;
    let pooled: Uint8Array<ArrayBuffer> | undefined;
    const message = encodeFrame(fields, payloads, (bytes) => {
      if (bytes < POOLED_FRAME) return Buffer.allocUnsafe(bytes);
      pooled = this.#pool.take(bytes);
      return Buffer.from(pooled.buffer, 0, bytes);
    });
    this.transmit(message, () => {
      if (pooled !== undefined) this.#pool.give(pooled);
      this.#flushed();
    });
  }

  /**
   * Hears every frame, those included that came before. The payload is a view at any alignment, of memory that nothing
   * else uses. A listener that throws closes the link with its error. There is one listener; a later one replaces it.
   */
  onFrame(listener: (frame: Frame) => void): void {
    this.#listener = listener;
    for (const frame of this.#early.splice(0)) this.guard(() => listener(frame));
    if (!this.closed) this.resume();
  }

  /**
   * Resolves when no more than `limit` bytes wait to be sent.
   * @throws StarlingError why the link closed, if it closes first
   */
  drained(limit: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.closed && this.bufferedAmount <= limit) {
        resolve();
        return;
      }
      const waiter: DrainWaiter = { limit, resolve, reject };
      this.#draining.add(waiter);
      // a link that is closed already tells so here
      if (this.closed) this.onClose((reason) => this.#rejectAll(reason));
    });
  }

  protected override receive(message: Buffer): void {
    const frame = decodeFrame(message);
    if (this.#listener !== undefined) {
      this.#listener(frame);
    } else {
      this.#early.push(frame);
      // what was read together with this frame still comes, then nothing until somebody listens
      this.pause();
    }
  }

  protected override ended(reason: CloseReason): void {
    this.#rejectAll(reason);
  }

  #rejectAll(reason: CloseReason): void {
    for (const waiter of this.#draining) waiter.reject(this.closedError(reason));
    this.#draining.clear();
  }

  #flushed(): void {
    for (const waiter of this.#draining) {
      if (this.bufferedAmount > waiter.limit) continue;
      this.#draining.delete(waiter);
      waiter.resolve();
    }
  }
}
