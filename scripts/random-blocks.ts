import { WEIGHT_FORMATS } from '../kernels/formats.ts';
import { floatToHalf } from '../kernels/half.ts';
import type { QuantizedFormat } from '../kernels/quant-block.ts';
import { fillTail, randomWords } from './random-words.ts';

/** What makes a block of random bytes a block of weights around 0. Blocks: ggml/src/ggml-common.h. */
interface BlockRecipe {
  /** Root mean square of the weights for d = 1, when every bit of weights and integer scales is random. */
  readonly deviation: number;
  /** Where the f16 d is. */
  readonly d: number;
  /** Where the f16 offset is, and that offset for d = 1: as large as the mean of the weights without it. */
  readonly offset?: { readonly at: number; readonly value: number };
  /** Makes the integer minima equal to the integer scales, so that each run of columns is around 0. */
  equalMins?(block: Uint8Array, at: number): void;
}

/** Root mean square of the integers low..high. */
function rms(low: number, high: number): number {
  let sum = 0;
  for (let i = low; i <= high; i++) sum += i * i;
  return Math.sqrt(sum / (high - low + 1));
}
/** Standard deviation of `count` consecutive integers. */
const spread = (count: number): number => Math.sqrt((count ** 2 - 1) / 12);
/** Of the tables of values in kernels/formats.ts. */
const IQ4_RMS = 67.44;
const MXFP4_RMS = 5.85;

/** In the 12 bytes of six-bit scales and minima: bytes 4..7 as 0..3, and the high nibbles of 8..11 as the low ones. */
function equalSixBitMins(block: Uint8Array, at: number): void {
  block.copyWithin(at + 8, at + 4, at + 8);
  for (let i = at + 12; i < at + 16; i++) block[i] = ((block[i] ?? 0) & 15) * 17;
}

function equalNibbleMins(block: Uint8Array, at: number): void {
  for (let i = at; i < at + 16; i++) block[i] = ((block[i] ?? 0) & 15) * 17;
}

const RECIPES: Readonly<Record<Exclude<QuantizedFormat, 'MXFP4'>, BlockRecipe>> = {
  Q8_0: { d: 0, deviation: rms(-127, 127) },
  Q4_0: { d: 0, deviation: rms(-8, 7) },
  Q4_1: { d: 0, deviation: spread(16), offset: { at: 2, value: -7.5 } },
  Q5_0: { d: 0, deviation: rms(-16, 15) },
  Q5_1: { d: 0, deviation: spread(32), offset: { at: 2, value: -15.5 } },
  IQ4_NL: { d: 0, deviation: IQ4_RMS },
  Q2_K: { d: 80, deviation: rms(0, 15) * spread(4), offset: { at: 82, value: 1.5 }, equalMins: equalNibbleMins },
  Q3_K: { d: 108, deviation: rms(-32, 31) * rms(-4, 3) },
  Q4_K: { d: 0, deviation: rms(0, 63) * spread(16), offset: { at: 2, value: 7.5 }, equalMins: equalSixBitMins },
  Q5_K: { d: 0, deviation: rms(0, 63) * spread(32), offset: { at: 2, value: 15.5 }, equalMins: equalSixBitMins },
  Q6_K: { d: 208, deviation: rms(-128, 127) * rms(-32, 31) },
  IQ4_XS: { d: 0, deviation: rms(-32, 31) * IQ4_RMS },
};

/** Scales and offsets of a tensor, from which each block takes one pair. */
const PAIRS = 32;

/** Random blocks of about the given standard deviation, around 0; see Fill. */
export function randomBlocks(
  format: QuantizedFormat,
  seed: number,
  deviation: number,
): (into: Uint8Array, offset: number) => void {
  if (format === 'MXFP4') return randomExponentBlocks(seed, deviation);
  const { sourceBlockBytes } = WEIGHT_FORMATS[format];
  const { d, offset, equalMins, ...recipe } = RECIPES[format];
  const scales = new Uint16Array(PAIRS);
  const offsets = new Uint16Array(PAIRS);
  for (let i = 0; i < PAIRS; i++) {
    // Scales differ by up to a third. Those of both signs keep uneven ranges of weights, as −8..7, from shifting sums.
    const sign = offset === undefined && i % 2 === 1 ? -1 : 1;
    const scale = (sign * (0.85 + 0.3 * (i / PAIRS)) * deviation) / recipe.deviation;
    scales[i] = floatToHalf(scale);
    offsets[i] = floatToHalf(scale * (offset?.value ?? 0));
  }
  return (into, start) => {
    const words = randomWords(into, seed, start);
    if (format === 'Q8_0') avoidMinus128(words);
    fillTail(into);
    for (let at = 0; at < into.length; at += sourceBlockBytes) {
      const pair = (into[at + d] ?? 0) % PAIRS;
      setHalf(into, at + d, scales[pair] ?? 0);
      if (offset !== undefined) setHalf(into, at + offset.at, offsets[pair] ?? 0);
      equalMins?.(into, at);
    }
  };
}

/** Scales of MXFP4 are powers of two: the nearest one. */
function randomExponentBlocks(seed: number, deviation: number): (into: Uint8Array, offset: number) => void {
  const exponent = Math.min(254, Math.max(0, Math.round(Math.log2(deviation / MXFP4_RMS)) + 128));
  return (into, start) => {
    randomWords(into, seed, start);
    fillTail(into);
    for (let at = 0; at < into.length; at += WEIGHT_FORMATS.MXFP4.sourceBlockBytes) into[at] = exponent;
  };
}

function setHalf(into: Uint8Array, at: number, bits: number): void {
  into[at] = bits;
  into[at + 1] = bits >> 8;
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
