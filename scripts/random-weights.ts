import { WEIGHT_FORMATS, type WeightFormat } from '../kernels/formats.ts';
import { floatToHalf } from '../kernels/half.ts';

/** Writes a tensor's bytes from `offset` on; blocks are whole, and `into` is 4-byte aligned. See GgufTensor.fill. */
export type Fill = (into: Uint8Array, offset: number) => void;

/**
 * Random weights of the given standard deviation (roughly: scales and exponents are powers of two, or vary by a quarter),
 * in the format's own blocks. The same seed, offset and length give the same bytes.
 */
export function randomWeights(format: WeightFormat, seed: number, deviation: number): Fill {
  switch (format) {
    case 'F32':
      return randomFloats(seed, 0, deviation);
    case 'F16':
      return randomHalves(seed, 10, 15, deviation);
    case 'BF16':
      return randomHalves(seed, 7, 127, deviation);
    case 'Q8_0':
    case 'Q4_0':
      return randomBlocks(format, seed, deviation);
  }
}

/** f32, uniform around `mean`. */
export function randomFloats(seed: number, mean: number, deviation: number): Fill {
  const step = (deviation * Math.sqrt(3)) / 2 ** 31;
  return (into, offset) => {
    const words = randomWords(into, seed, offset);
    const values = new Float32Array(words.buffer, words.byteOffset, words.length);
    for (let i = 0; i < words.length; i++) values[i] = mean + ((words[i] ?? 0) | 0) * step;
  };
}

/**
 * 16-bit floats, two a word: random sign and mantissa, the exponent one of four consecutive ones.
 * Their root mean square is 2^e · sqrt((1 + 4 + 16 + 64)/4 · 7/3), about 7.04 · 2^e, for the smallest exponent e.
 */
function randomHalves(seed: number, mantissaBits: number, bias: number, deviation: number): Fill {
  const exponent = Math.max(1, Math.round(Math.log2(deviation / 7.04)) + bias);
  const random = 0x8000 | (2 ** (mantissaBits + 2) - 1);
  const mask = random | (random << 16);
  const base = (exponent << mantissaBits) | (exponent << (mantissaBits + 16));
  return (into, offset) => {
    const words = randomWords(into, seed, offset);
    for (let i = 0; i < words.length; i++) words[i] = ((words[i] ?? 0) & mask) + base;
    fillTail(into);
  };
}

/** Standard deviations of the integers of a block when every bit is random. */
const INTEGER_DEVIATION = { Q8_0: 73.9, Q4_0: 4.61 } as const;

const SMALLEST_NORMAL_HALF = 2 ** -14;

function randomBlocks(format: 'Q8_0' | 'Q4_0', seed: number, deviation: number): Fill {
  const { sourceBlockBytes } = WEIGHT_FORMATS[format];
  const scale = floatToHalf(Math.max(SMALLEST_NORMAL_HALF, deviation / INTEGER_DEVIATION[format]));
  return (into, offset) => {
    const words = randomWords(into, seed, offset);
    if (format === 'Q8_0') avoidMinus128(words);
    fillTail(into);
    for (let at = 0; at < into.length; at += sourceBlockBytes) {
      // A random sign keeps Q4_0's uneven range, -8..7, from shifting sums; random low bits make scales differ.
      const bits = scale ^ ((into[at] ?? 0) | (((into[at + 1] ?? 0) & 0x80) << 8));
      into[at] = bits;
      into[at + 1] = bits >> 8;
    }
  };
}

/** Quantisers write no -128 in Q8_0: their scale is the largest magnitude over 127. */
function avoidMinus128(words: Uint32Array): void {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    const y = word ^ 0x80808080;
    // Not 0 when a byte of y is 0.
    if (((y - 0x01010101) & ~y & 0x80808080) === 0) continue;
    for (let shift = 0; shift < 32; shift += 8) {
      if (((word >>> shift) & 0xff) === 0x80) words[i] = (words[i] ?? 0) | (1 << shift);
    }
  }
}

/** The bytes beyond the last whole word repeat the first ones. */
function fillTail(into: Uint8Array): void {
  into.copyWithin(into.length & ~3, 0, into.length & 3);
}

/**
 * Fills the whole words of `into` by Marsaglia's xorshift32, started from a hash of seed and offset.
 * @returns those words
 */
function randomWords(into: Uint8Array, seed: number, offset: number): Uint32Array {
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
