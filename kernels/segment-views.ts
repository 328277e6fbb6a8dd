import { offsetOf, segmentOf } from './arena.ts';
import type { Address } from './kernels.ts';

/**
 * Typed views of an arena's segments. Each method returns a view of `count` elements at `address`.
 * @throws RangeError when the address is in no segment, the view leaves its segment or is not aligned to its elements
 */
export class SegmentViews {
  readonly #segments: readonly SharedArrayBuffer[];

  constructor(segments: readonly SharedArrayBuffer[]) {
    this.#segments = segments;
  }

  #segment(address: Address): SharedArrayBuffer {
    const segment = this.#segments[segmentOf(address)];
    if (segment === undefined) throw new RangeError(`address ${address} is in no segment of this arena`);
    return segment;
  }

  u8(address: Address, count: number): Uint8Array {
    return new Uint8Array(this.#segment(address), offsetOf(address), count);
  }

  i8(address: Address, count: number): Int8Array {
    return new Int8Array(this.#segment(address), offsetOf(address), count);
  }

  i16(address: Address, count: number): Int16Array {
    return new Int16Array(this.#segment(address), offsetOf(address), count);
  }

  u16(address: Address, count: number): Uint16Array {
    return new Uint16Array(this.#segment(address), offsetOf(address), count);
  }

  u32(address: Address, count: number): Uint32Array {
    return new Uint32Array(this.#segment(address), offsetOf(address), count);
  }

  f32(address: Address, count: number): Float32Array {
    return new Float32Array(this.#segment(address), offsetOf(address), count);
  }

  f64(address: Address, count: number): Float64Array {
    return new Float64Array(this.#segment(address), offsetOf(address), count);
  }
}
