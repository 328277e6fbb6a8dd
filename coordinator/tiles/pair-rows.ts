import type { Halves } from '../model/spec.ts';

/**
 * Puts the rotary pairs of whole heads side by side, in place: row 2i becomes what was row i, row 2i + 1 what was row i
 * + dims/2. Queries and keys are ordered alike, so that their products are what they were.
 * @param rows of `stride` bytes each, or values of a vector
 */
export function pairRows(rows: Uint8Array, stride: number, { headDim, dims }: Halves): void {
  const turned = new Uint8Array(dims * stride);
  for (let head = 0; head < rows.length; head += headDim * stride) {
    for (let row = 0; row < dims; row++) {
      const from = head + (row % 2 === 0 ? row / 2 : (row - 1 + dims) / 2) * stride;
      turned.set(rows.subarray(from, from + stride), row * stride);
    }
    rows.set(turned, head);
  }
}
