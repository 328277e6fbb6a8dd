/** The two 16-bit floats of model files and KV pages. NaN stays NaN; its sign and payload are not kept. */
import { floatBits, floatFromBits, roundTiesToEven } from './scalar.ts';

const HALF_INFINITY = 0x7c00;
const HALF_NAN = 0x7e00;
/** f32 bits of 65520, half-way between the largest f16 (65504) and the next power of two: from here on infinity. */
const HALF_OVERFLOW = 0x477ff000;
/** f32 bits of 2^-14, the smallest normal f16. */
const HALF_NORMAL = 0x38800000;
/** The distance of the exponents' biases, 127 − 15, in the exponent field of an f32. */
const REBIAS = 112 << 23;

/** The value of an f16, exact, from its bits (IEEE 754 binary16). */
export function halfToFloat(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** The bits of the f16 nearest to f32(value), ties to even; beyond 65504 and its rounding, infinity. */
export function floatToHalf(value: number): number {
  const bits = floatBits(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return HALF_NAN;
  if (magnitude >= HALF_OVERFLOW) return sign | HALF_INFINITY;
  // Denormals count in units of 2^-24; rounding up to 1024 units gives the bits of the smallest normal.
  if (magnitude < HALF_NORMAL) return sign | roundTiesToEven(Math.abs(Math.fround(value)) * 2 ** 24);
  const rebiased = magnitude - REBIAS;
  const evenUp = 0xfff + ((rebiased >>> 13) & 1);
  return sign | ((rebiased + evenUp) >>> 13);
}

/** The value of a bfloat16, exact, from its bits: the upper half of an f32. */
export function bfloatToFloat(bits: number): number {
  return floatFromBits((bits << 16) >>> 0);
}

/** The bits of the bfloat16 nearest to f32(value), ties to even. */
export function floatToBfloat(value: number): number {
  const bits = floatBits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  const evenUp = 0x7fff + ((bits >>> 16) & 1);
  return (bits + evenUp) >>> 16;
}
