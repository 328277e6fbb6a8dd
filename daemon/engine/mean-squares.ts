/**
 * Mean squares of a row's queries and keys, as exact sums: RMSNorm over all heads together (Zhang and Sennrich 2019)
 * needs them of heads that lie on several devices. A tile's part is two integers: multiples of 2^-24, as of every sum,
 * and of what these leave, which is at most half of one, multiples of 2^-52. So a small mean is as exact as a large
 * one.
 */
import { roundTiesToEven } from '../../kernels/scalar.ts';

const UNIT = 2 ** 24;
const FINE = 2 ** 28;

/** Where a row's sums have the parts, each two values long. */
export const MEAN_SQUARES = { q: 0, k: 2 } as const;

/**
 * Adds the squares of `values` over `of` values to two sums.
 * @param sums f64 [2]: coarse and fine integers
 * @param limit see sumLimit
 * @returns false when a value is not finite, or the part is too large for exact sums
 */
export function addMeanSquare(values: Float32Array, of: number, limit: number, sums: Float64Array): boolean {
  let squares = 0;
  for (const value of values) squares += value * value;
  const scaled = (squares / of) * UNIT;
  if (!(scaled <= limit)) return false;
  const coarse = roundTiesToEven(scaled);
  sums[0] = sums[0]! + coarse;
  sums[1] = sums[1]! + roundTiesToEven((scaled - coarse) * FINE);
  return true;
}

/** What a row is multiplied by, f32(1 / √(mean + eps)). @param sums of all tiles, as `addMeanSquare` has them */
export function normFactor(sums: Float64Array, eps: number): number {
  const mean = (sums[0]! + sums[1]! / FINE) / UNIT;
  return Math.fround(1 / Math.sqrt(mean + eps));
}
