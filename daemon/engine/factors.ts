/**
 * Factors by which queries and keys are normed over all heads: f32 [rows] of queries, then as many of keys, after an
 * input's rows.
 */

/** Bytes for so many rows. */
export const factorBytes = (rows: number): number => rows * 8;

/** Whether factors are finite, and none is negative. */
export function areFactors(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 4) {
    const factor = view.getFloat32(at, true);
    if (!(factor >= 0 && factor < Infinity)) return false;
  }
  return true;
}
