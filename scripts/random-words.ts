/** The bytes beyond the last whole word repeat the first ones. */
export function fillTail(into: Uint8Array): void {
  into.copyWithin(into.length & ~3, 0, into.length & 3);
}

/**
 * Fills the whole words of `into` by Marsaglia's xorshift32, started from a hash of seed and offset.
 * @returns those words
 */
export function randomWords(into: Uint8Array, seed: number, offset: number): Uint32Array {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length >> 2);
  let x = mix(mix(seed) ^ mix(offset % 2 ** 32) ^ Math.floor(offset / 2 ** 32)) || 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return words;
}

/** The finalizer of MurmurHash3. */
export function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
