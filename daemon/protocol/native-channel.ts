import { type NativeChannel as Addon, openNativeChannel } from '../../kernels/native.ts';
import {
  type Channel,
  type ChannelKeys,
  type Closing,
  malformed,
  notAuthentic,
  readClosing,
  type Side,
  tooLong,
} from './channel.ts';

/** What `next` of the addon says in place of a length (kernels/native/channel.h). */
const FOUND = { none: -1, close: -2, malformed: -3, tooLong: -4 } as const;

/** A channel in C, which reads and writes sockets itself. */
class NativeChannel implements Channel {
  readonly native = true;
  readonly #addon: Addon;
  #closing: Closing | null = null;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  get closing(): Closing | null {
    return this.#closing;
  }

  send(
    descriptor: number,
    header: Uint8Array,
    payloads: readonly Uint8Array[],
    allocate: (bytes: number) => Buffer,
  ): Buffer | null {
    const left = this.#addon.send(descriptor, header, ...payloads);
    if (left === 0) return null;
    const rest = allocate(left);
    this.#addon.rest(rest);
    return rest;
  }

  feed(bytes: Uint8Array): void {
    this.#addon.feed(bytes);
  }

  receive(descriptor: number): boolean {
    return this.#addon.receive(descriptor) > 0;
  }

  next(allocate: (bytes: number) => Buffer): Buffer | null {
    if (this.#closing !== null) return null;
    const found = this.#addon.next();
    if (found === FOUND.none) return null;
    if (found === FOUND.close) {
      this.#closing = readClosing(this.#addon.closing());
      return null;
    }
    if (found === FOUND.malformed) throw malformed();
    if (found === FOUND.tooLong) throw tooLong();
    const plain = allocate(found);
    if (!this.#addon.open(plain)) throw notAuthentic();
    return plain;
  }
}

/** Makes native channels; null where the addon was not built or this system cannot have them. */
export function nativeChannels(): ((keys: ChannelKeys, side: Side) => Channel) | null {
  const open = openNativeChannel();
  return open === null
    ? null
    : ({ seal, open: other }, side) => new NativeChannel(open(seal, other, side === 'coordinator'));
}
