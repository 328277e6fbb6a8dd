/**
 * The wire form of exact sums: blocks of 32, each one byte w (2..8), then 32 integers of w bytes, two's complement,
 * little endian. Integers are handled as high · 2^32 + low, since 32 bits is as far as JavaScript's shifts reach.
 */
import { BLOCK } from './formats.ts';

const SMALLEST_WIDTH = 2;
const LARGEST_WIDTH = 8;
/** The high word of 2^53, the largest magnitude of an exact sum. */
const LARGEST_HIGH = 2 ** 21;

/** The most bytes that `n` sums take; `n` a multiple of 32. */
export const packedSumsLimit = (n: number): number => (n / BLOCK) * (1 + BLOCK * LARGEST_WIDTH);

/** The smallest width of 2..8 bytes that holds every integer from `smallest` to `largest`. */
function widthFor(smallest: number, largest: number): number {
  let width = SMALLEST_WIDTH;
  while (width < LARGEST_WIDTH && (smallest < -(2 ** (8 * width - 1)) || largest >= 2 ** (8 * width - 1))) width++;
  return width;
}

/**
 * Packs sums into `out`.
 * @param sums [n] integers, n a multiple of 32
 * @param out at least packedSumsLimit(n) bytes
 * @returns bytes written
 */
export function packSums(sums: Float64Array, out: Uint8Array): number {
  let at = 0;
  for (let start = 0; start < sums.length; start += BLOCK) {
    let smallest = 0;
    let largest = 0;
    for (let i = 0; i < BLOCK; i++) {
      smallest = Math.min(smallest, sums[start + i]!);
      largest = Math.max(largest, sums[start + i]!);
    }
    const width = widthFor(smallest, largest);
    out[at++] = width;
    for (let i = 0; i < BLOCK; i++) {
      const high = Math.floor(sums[start + i]! / 2 ** 32);
      const low = sums[start + i]! - high * 2 ** 32;
      for (let byte = 0; byte < width; byte++) {
        out[at++] = byte < 4 ? low >>> (8 * byte) : high >> (8 * (byte - 4));
      }
    }
  }
  return at;
}

/**
 * Adds packed sums to `sums`. A block may be wider than it has to be.
 * @param packed the bytes of one packing, from a peer
 * @param sums [n] integers, n a multiple of 32
 * @returns false when the bytes are too few or too many, a width is not 2..8 or a value's magnitude exceeds 2^53;
 * then `sums` is meaningless
 */
export function unpackSums(packed: Uint8Array, sums: Float64Array): boolean {
  let at = 0;
  for (let start = 0; start < sums.length; start += BLOCK) {
    const width = packed[at++];
    if (width === undefined || width < SMALLEST_WIDTH || width > LARGEST_WIDTH) return false;
    if (at + BLOCK * width > packed.length) return false;
    for (let i = 0; i < BLOCK; i++, at += width) {
      const fill = packed[at + width - 1]! >= 0x80 ? -1 : 0;
      let low = fill;
      let high = fill;
      // From the top byte down, so that each shift makes room for the next byte.
      for (let byte = width - 1; byte >= 0; byte--) {
        if (byte >= 4) high = (high << 8) | packed[at + byte]!;
        else low = (low << 8) | packed[at + byte]!;
      }
      const unsignedLow = low >>> 0;
      // Compared in words, because 2^53 + 1 is no double.
      if (high < -LARGEST_HIGH || high > LARGEST_HIGH || (high === LARGEST_HIGH && unsignedLow > 0)) return false;
      sums[start + i] = sums[start + i]! + (high * 2 ** 32 + unsignedLow);
    }
  }
  return at === packed.length;
}
