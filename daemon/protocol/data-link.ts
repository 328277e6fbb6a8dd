import type { Socket } from 'node:net';
import { BufferPool } from '../buffer-pool.ts';
import { StarlingError } from '../errors.ts';
import { type Channel, closingFrame, malformed, type Side, TAG_BYTES } from './channel.ts';
import { decodeFrame, encodeHeader, FRAME_TYPES, type Frame, type FrameFields, HEADER_BYTES } from './frames.ts';
import { CLOSE_MS, type CloseReason, Link, linkError } from './link.ts';

interface DrainWaiter {
  readonly limit: number;
  readonly resolve: () => void;
  readonly reject: (error: StarlingError) => void;
}

/**
 * Frames of at least this many bytes are put together in memory that is used again: garbage of that size costs
 * collections.
 */
const POOLED_FRAME = 2 ** 14;
/** Such memory that a link keeps: for a frame that is being sent and the next. */
const KEPT_BYTES = 5 * 2 ** 19;
/** The longest message for which the memory that it came into is kept for the next. */
const KEPT_MESSAGE = 2 ** 20;

/** Bytes of an OPEN frame with a mask: all that is read before the other side has proved that it has the keys. */
const OPEN_BYTES = 2 + 4 + HEADER_BYTES + TAG_BYTES;

/**
 * Frames to and from one device, sealed by a channel. It begins with OPEN from either side; after that, and before
 * `onFrame`, nothing is read: no frame is lost and none pile up. A native channel writes to the socket at once and can
 * be polled; the event loop does the rest, in the same order: what could not be written goes through it, and what it
 * reads is fed to the channel.
 */
export class DataLink extends Link {
  readonly #socket: Socket;
  readonly #channel: Channel;
  readonly #side: Side;
  readonly #draining = new Set<DrainWaiter>();
  readonly #pool = new BufferPool(KEPT_BYTES);
  readonly #header = Buffer.alloc(HEADER_BYTES);
  /** Where messages are opened, one after the other. */
  #plain = Buffer.alloc(0);
  #listener: ((frame: Frame) => void) | undefined;
  #opened = false;
  #onOpened: (() => void) | undefined;
  #unproven = 0;

  /**
   * @param socket connected and upgraded: nothing has been read of it but `head`
   * @param side which this one is
   */
  constructor(socket: Socket, channel: Channel, side: Side, head: Uint8Array) {
    super(socket);
    this.#socket = socket;
    this.#channel = channel;
    this.#side = side;
    socket.setNoDelay(true);
    const take = (bytes: Uint8Array): void =>
      this.guard(() => {
        if (!this.#opened) this.#unproven += bytes.length;
        if (this.#unproven > OPEN_BYTES) throw malformed();
        channel.feed(bytes);
        this.#deliver();
      });
    socket.on('data', take);
    socket.on('error', (error) => this.finish(linkError(error, this.remote)));
    socket.on('end', () => this.finish(this.lost('')));
    socket.on('close', () => this.finish(this.lost('')));
    if (head.length > 0) take(head);
  }

  /**
   * Opens the link: the coordinator sends OPEN and awaits the device's, the device awaits and then sends it. To be
   * called once, at once.
   * @throws StarlingError why the link closed, if it closes first
   */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const prove = (): void => this.send({ type: FRAME_TYPES.OPEN });
      this.#onOpened = () => {
        if (this.#side === 'device') prove();
        resolve();
      };
      this.onClose((reason) => reject(this.closedError(reason)));
      if (this.#opened) this.#onOpened();
      else if (this.#side === 'coordinator') prove();
    });
  }

  /** Whether `poll` can find anything: otherwise only the event loop reads. */
  get polls(): boolean {
    return this.#channel.native && !this.closed;
  }

  /** Bytes that were sent and have not reached the operating system yet. */
  get bufferedAmount(): number {
    return this.#socket.writableLength;
  }

  /**
   * Sends one frame: the payloads, one after the other. They are copied before this returns. On a closed link it does
   * nothing.
   * @throws StarlingError protocol_frame_too_long; RangeError for a field that does not fit
   */
  send(fields: FrameFields, ...payloads: Uint8Array[]): void {
    if (this.closed) return;
    encodeHeader(
      this.#header,
      fields,
      payloads.reduce((sum, payload) => sum + payload.length, 0),
    );
    let pooled: Uint8Array<ArrayBuffer> | undefined;
    const rest = this.#channel.send(
      // What waits in the socket goes first.
      this.#socket.writableLength === 0 ? this.#descriptor : -1,
      this.#header,
      payloads,
      (bytes) => {
        if (bytes < POOLED_FRAME) return Buffer.allocUnsafe(bytes);
        pooled = this.#pool.take(bytes);
        return Buffer.from(pooled.buffer, 0, bytes);
      },
    );
    if (rest === null) return;
    this.#socket.write(rest, () => {
      if (pooled !== undefined) this.#pool.give(pooled);
      this.#flushed();
    });
  }

  /**
   * Hears every frame, those included that came before. The payload is the listener's until it returns: what it keeps,
   * it copies. A listener that throws closes the link with its error. There is one listener; a later one replaces it.
   */
  onFrame(listener: (frame: Frame) => void): void {
    this.#listener = listener;
    this.guard(() => this.#deliver());
    if (!this.closed) this.#socket.resume();
  }

  /** Reads what has come without waiting for the event loop's turn, and tells the listener. */
  poll(): void {
    const descriptor = this.#descriptor;
    if (descriptor < 0 || this.#socket.readableLength > 0) return;
    this.guard(() => {
      if (this.#channel.receive(descriptor)) this.#deliver();
    });
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

  protected override shut(code: number, text: string): void {
    this.#socket.end(closingFrame(this.#side, code, text));
  }

  protected override ended(reason: CloseReason): void {
    const socket = this.#socket;
    if (!socket.destroyed) {
      // A paused connection would not see the other side's end.
      socket.resume();
      socket.end();
      const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
      socket.once('close', () => clearTimeout(timer));
    }
    this.#rejectAll(reason);
  }

  /** Of the socket, for the native channel; -1 where there is none. */
  get #descriptor(): number {
    const { _handle: handle } = this.#socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
    return this.#channel.native ? (handle?.fd ?? -1) : -1;
  }

  #deliver(): void {
    if (!this.#opened) this.#awaitOpen();
    const listener = this.#listener;
    while (listener !== undefined && !this.closed) {
      const message = this.#channel.next(this.#room);
      if (message === null) break;
      listener(decodeFrame(message));
    }
    if (this.#channel.closing !== null) this.finish(this.lost(this.#channel.closing.reason));
  }

  readonly #room = (bytes: number): Buffer => {
    if (bytes > this.#plain.length || this.#plain.length > KEPT_MESSAGE) this.#plain = Buffer.allocUnsafeSlow(bytes);
    return this.#plain.subarray(0, bytes);
  };

  #awaitOpen(): void {
    const message = this.#channel.next(this.#room);
    if (message === null) return;
    const { type } = decodeFrame(message).header;
    if (type !== FRAME_TYPES.OPEN) {
      throw new StarlingError('protocol_invalid_message', `a data link begins with a frame of type ${type}`);
    }
    this.#opened = true;
    // Nothing more is read until somebody listens.
    this.#socket.pause();
    this.#onOpened?.();
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
