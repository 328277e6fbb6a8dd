import { KV_PAGE } from './formats.ts';
import { expF32, tree } from './scalar.ts';

const f32 = Math.fround;

/** Lanes of the strided accumulator over the positions of a page. */
const LANES = 8;

/** What the format of a page adds to attention, for one query head. */
export interface PageMath<Page> {
  /** The score of one position. */
  score(page: Page, p: number): number;
  /** Fills `o` [headDim] with the sum of the first n positions' values, weighted with e. */
  weigh(page: Page, e: Float32Array, n: number, o: Float32Array): void;
}

/**
 * Attention of one query head over the first `positions` positions, by the contract in kernels.ts.
 * @param pages the head's pages, in order
 * @param out [headDim]
 */
export function attendHead<Page>(
  math: PageMath<Page>,
  pages: readonly Page[],
  positions: number,
  out: Float32Array,
): void {
  const headDim = out.length;
  const e = new Float32Array(KV_PAGE); // scores, then their exponentials
  const a = new Float32Array(LANES);
  const o = new Float32Array(headDim);
  const O = new Float32Array(headDim);
  let M = 0;
  let L = 0;
  for (let page = 0; page * KV_PAGE < positions; page++) {
    const n = Math.min(KV_PAGE, positions - page * KV_PAGE);
    let m = -Infinity;
    for (let p = 0; p < n; p++) {
      e[p] = math.score(pages[page]!, p);
      if (e[p]! > m) m = e[p]!;
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
    math.weigh(pages[page]!, e, n, o);
    for (let d = 0; d < headDim; d++) {
      O[d] = page === 0 ? o[d]! : f32(f32(O[d]! * scaleOld) + f32(o[d]! * scaleNew));
    }
    L = page === 0 ? l : f32(f32(L * scaleOld) + f32(l * scaleNew));
    M = newM;
  }
  const inverse = f32(1 / L);
  for (let d = 0; d < headDim; d++) out[d] = f32(O[d]! * inverse);
}
