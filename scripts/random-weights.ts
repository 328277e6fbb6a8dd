import type { WeightFormat } from '../kernels/formats.ts';
import { randomBlocks } from './random-blocks.ts';
import { fillTail, randomWords } from './random-words.ts';

/** Writes a tensor's bytes from `offset` on; blocks are whole, and `into` is 4-byte aligned. See GgufTensor.fill. */
export type Fill = (into: Uint8Array, offset: number) => void;

/**
 * Random weights of the given standard deviation (roughly: exponents are whole, and scales vary by a sixth),
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
    default:
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
