import { KV_PAGE } from './formats.ts';
import { expF32, tree } from './scalar.ts';

const f32 = Math.fround;

/** Lanes of the strided accumulator over the positions of a page. */
const LANES = 8;

/** The bits of f16 keys [headDim][KV_PAGE] and values [KV_PAGE][headDim]. */
export interface KvPage {
  readonly keys: Uint16Array;
  readonly values: Uint16Array;
}

/**
 * Attention of one query head over the first `positions` positions, by the contract in kernels.ts.
 * @param query [headDim]
 * @param pages the head's pages, in order
 * @param half f16 values by their bits: [65536]
 * @param out [headDim]
 */
export function attendHead(
  query: Float32Array,
  scale: number,
  pages: readonly KvPage[],
  positions: number,
  half: Float32Array,
  out: Float32Array,
): void {
  const headDim = query.length;
  const qs = query.map((value) => f32(value * f32(scale)));
  const e = new Float32Array(KV_PAGE); // scores, then their exponentials
  const a = new Float32Array(LANES);
  const O = new Float32Array(headDim);
  let M = 0;
  let L = 0;
  for (let page = 0; page < pages.length; page++) {
    const { keys, values } = pages[page]!;
    const n = Math.min(KV_PAGE, positions - page * KV_PAGE);
    let m = -Infinity;
    for (let p = 0; p < n; p++) {
      let score = 0;
      for (let d = 0; d < headDim; d++) score = f32(score + f32(qs[d]! * half[keys[d * KV_PAGE + p]!]!));
      e[p] = score;
      if (score > m) m = score;
    }
    a.fill(0);
    for (let p = 0; p < n; p++) {
      e[p] = expF32(f32(e[p]! - m));
      a[p % LANES] = f32(a[p % LANES]! + e[p]!);
    }
    const l = tree(a);
    // The first page sets M, L and O; each next one is merged into them.
    const newM = page === 0 || m > M ? m : M;
    const scaleOld = page === 0 ? 0 : expF32(f32(M - newM));
    const scaleNew = page === 0 ? 1 : expF32(f32(m - newM));
    for (let d = 0; d < headDim; d++) {
      let o = 0;
      for (let p = 0; p < n; p++) o = f32(o + f32(e[p]! * half[values[p * headDim + d]!]!));
      O[d] = page === 0 ? o : f32(f32(O[d]! * scaleOld) + f32(o * scaleNew));
    }
    L = page === 0 ? l : f32(f32(L * scaleOld) + f32(l * scaleNew));
    M = newM;
  }
  const inverse = f32(1 / L);
  for (let d = 0; d < headDim; d++) out[d] = f32(O[d]! * inverse);
}
