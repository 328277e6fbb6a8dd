/** The two formats of KV pages in plain TypeScript: storing a position, and what a page adds to attention. */
import { BLOCK, KV_PAGE } from './formats.ts';
import { floatToHalf } from './half.ts';
import type { PageMath } from './reference-attention.ts';
import { roundTiesToEven } from './scalar.ts';

const f32 = Math.fround;

/** Values whose largest magnitude is below this count as zeros, so that the inverse of their scale stays finite. */
const SMALLEST_AMAX = 2 ** -100;
const HALF_NAN = 0x7e00;

/** The bits of f16 keys [headDim][KV_PAGE] and values [KV_PAGE][headDim]. */
export interface F16Page {
  readonly keys: Uint16Array;
  readonly values: Uint16Array;
}

/**
 * Bytes of keys and values in the order of formats.ts; the bits of f16 scales [⌈headDim/32⌉][KV_PAGE] and [KV_PAGE].
 */
export interface Q8Page {
  readonly keys: Int8Array;
  readonly values: Int8Array;
  readonly keyScales: Uint16Array;
  readonly valueScales: Uint16Array;
}

export function storeF16(page: F16Page, slot: number, keys: Float32Array, values: Float32Array): void {
  const headDim = keys.length;
  for (let d = 0; d < headDim; d++) {
    page.keys[d * KV_PAGE + slot] = floatToHalf(keys[d]!);
    page.values[slot * headDim + d] = floatToHalf(values[d]!);
  }
}

export function storeQ8(page: Q8Page, slot: number, keys: Float32Array, values: Float32Array): void {
  const headDim = keys.length;
  for (let first = 0; first < headDim; first += BLOCK) {
    const { integers, amax } = integersOf(keys.subarray(first, first + BLOCK), 127);
    page.keyScales[(first / BLOCK) * KV_PAGE + slot] = byteScale(amax);
    for (let i = 0; i < integers.length; i++) page.keys[keyAt(headDim, slot, first + i)] = integers[i]!;
  }
  const { integers, amax } = integersOf(values, 127);
  page.valueScales[slot] = byteScale(amax);
  for (let d = 0; d < headDim; d++) page.values[valueAt(slot, d)] = integers[d]!;
}

/** @param query [headDim]; @param half f16 values by their bits: [65536] */
export function f16Math(query: Float32Array, scale: number, half: Float32Array): PageMath<F16Page> {
  const headDim = query.length;
  const qs = query.map((value) => f32(value * f32(scale)));
  return {
    score({ keys }, p) {
      let score = 0;
      for (let d = 0; d < headDim; d++) score = f32(score + f32(qs[d]! * half[keys[d * KV_PAGE + p]!]!));
      return score;
    },
    weigh({ values }, e, from, n, o) {
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let p = from; p < n; p++) sum = f32(sum + f32(e[p]! * half[values[p * headDim + d]!]!));
        o[d] = sum;
      }
    },
  };
}

/** @param query [headDim]; @param half f16 values by their bits: [65536] */
export function q8Math(query: Float32Array, scale: number, half: Float32Array): PageMath<Q8Page> {
  const headDim = query.length;
  const { integers: q, amax } = integersOf(query, 32767);
  const qs = f32(wordScale(amax) * f32(scale));
  const weights = new Float32Array(KV_PAGE);
  return {
    score({ keys, keyScales }, p) {
      let score = 0;
      for (let first = 0; first < headDim; first += BLOCK) {
        let dot = 0;
        const end = Math.min(first + BLOCK, headDim);
        for (let d = first; d < end; d++) dot += q[d]! * keys[keyAt(headDim, p, d)]!;
        score = f32(score + f32(f32(dot) * half[keyScales[(first / BLOCK) * KV_PAGE + p]!]!));
      }
      return f32(score * qs);
    },
    weigh({ values, valueScales }, e, from, n, o) {
      for (let p = 0; p < KV_PAGE; p++) weights[p] = p >= from && p < n ? f32(e[p]! * half[valueScales[p]!]!) : 0;
      const words = integersOf(weights, 32767);
      const s = wordScale(words.amax);
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let p = from; p < n; p++) sum += words.integers[p]! * values[valueAt(p, d)]!;
        o[d] = f32(f32(sum) * s);
      }
    },
  };
}

/** Where K of position p, dimension d is: eight positions, then pairs of dimensions, then positions. */
const keyAt = (headDim: number, p: number, d: number): number =>
  (p >> 3) * 8 * headDim + (d >> 1) * 16 + (p & 7) * 2 + (d & 1);

/** Where V of position p, dimension d is: eight dimensions, then pairs of positions, then dimensions. */
const valueAt = (p: number, d: number): number => (d >> 3) * 8 * KV_PAGE + (p >> 1) * 16 + (d & 7) * 2 + (p & 1);

/** The values as integers up to `most` in magnitude; zeros, and amax NaN, when a value is not finite. */
function integersOf(values: Float32Array, most: number): { readonly integers: Int16Array; readonly amax: number } {
  const integers = new Int16Array(values.length);
  let amax = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) return { integers, amax: Number.NaN };
    amax = Math.max(amax, Math.abs(value));
  }
  if (amax < SMALLEST_AMAX) return { integers, amax };
  const inverse = f32(most / amax);
  for (let i = 0; i < values.length; i++) integers[i] = roundTiesToEven(f32(values[i]! * inverse));
  return { integers, amax };
}

/** The bits of the f16 scale of integers up to 127. */
function byteScale(amax: number): number {
  if (Number.isNaN(amax)) return HALF_NAN;
  return amax < SMALLEST_AMAX ? 0 : floatToHalf(f32(amax / 127));
}

/** The scale of integers up to 32767; NaN for NaN. */
const wordScale = (amax: number): number => (amax < SMALLEST_AMAX ? 0 : f32(amax / 32767));
