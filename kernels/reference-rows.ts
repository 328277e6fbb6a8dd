/** What the reference does with one row of activations, by the contract in kernels.ts. */
import { type ActivationFunction, BLOCK } from './formats.ts';
import type { QuantizedActivations } from './reference-matmul.ts';
import { clampedUnitF32, geluF32, roundTiesToEven, siluF32, tree } from './scalar.ts';

const f32 = Math.fround;

/** A block whose largest magnitude is below this quantises to zeros, so that 127 / amax stays finite. */
const SMALLEST_AMAX = 2 ** -100;
/** Lanes of the strided accumulators over columns. */
const LANES = 8;

/** A gated unit of one gate and what it lets through. */
export const GATED_UNITS: Readonly<Record<ActivationFunction, (gate: number, up: number) => number>> = {
  silu: (gate, up) => f32(siluF32(gate) * up),
  gelu: (gate, up) => f32(geluF32(gate) * up),
  clamped: clampedUnitF32,
};

/**
 * Quantises a row.
 * @param values [cols]
 * @returns false when a value is not finite
 */
export function quantizeRow(values: Float32Array, { quants, scales, sums }: QuantizedActivations): boolean {
  for (let block = 0; block < values.length / BLOCK; block++) {
    const first = block * BLOCK;
    let amax = 0;
    for (let c = first; c < first + BLOCK; c++) {
      const magnitude = Math.abs(values[c]!);
      if (!(magnitude < Infinity)) return false;
      if (magnitude > amax) amax = magnitude;
    }
    const zero = amax < SMALLEST_AMAX;
    const inverse = zero ? 0 : f32(127 / amax);
    sums[2 * block] = 0;
    sums[2 * block + 1] = 0;
    for (let c = 0; c < BLOCK; c++) {
      const q = zero ? 0 : roundTiesToEven(f32(values[first + c]! * inverse));
      const half = 2 * block + (c < BLOCK / 2 ? 0 : 1);
      quants[first + c] = q;
      sums[half] = sums[half]! + q;
    }
    scales[block] = zero ? 0 : f32(amax / 127);
  }
  return true;
}

/** y = x · rsqrt(mean(x²) + eps) · gains, [cols] each; y may be x. @param dim the width that the mean is over */
export function rmsnormRow(x: Float32Array, gains: Float32Array, dim: number, eps: number, y: Float32Array): void {
  const a = new Float32Array(LANES);
  for (let c = 0; c < x.length; c++) a[c % LANES] = f32(a[c % LANES]! + f32(x[c]! * x[c]!));
  const mean = f32(tree(a) / dim);
  const inverse = f32(1 / f32(Math.sqrt(f32(mean + f32(eps)))));
  for (let c = 0; c < x.length; c++) y[c] = f32(f32(x[c]! * inverse) * gains[c]!);
}

/** Rotates the pairs of a head, [headDim], in place. @param turns [headDim/2] (cos, sin) */
export function ropeHead(head: Float32Array, turns: Float32Array): void {
  for (let d = 0; d < head.length; d += 2) {
    const [a, b] = [head[d]!, head[d + 1]!];
    const [cos, sin] = [turns[d]!, turns[d + 1]!];
    head[d] = f32(f32(a * cos) - f32(b * sin));
    head[d + 1] = f32(f32(a * sin) + f32(b * cos));
  }
}
