import { KV_PAGE } from './formats.ts';
import { expF32, tanhF32, tree } from './scalar.ts';

const f32 = Math.fround;

/** Lanes of the strided accumulator over the positions of a page. */
const LANES = 8;

/** What the format of a page adds to attention, for one query head. */
export interface PageMath<Page> {
  /** The score of one position. */
  score(page: Page, p: number): number;
  /** Fills `o` [headDim] with the sum of the values of positions from `from` on, before n, weighted with e. */
  weigh(page: Page, e: Float32Array, from: number, n: number, o: Float32Array): void;
}

/** How a head scores what it sees; see Kernels.attend. */
export interface ScoreRules {
  readonly window: number;
  readonly softCap: number;
  readonly sink: number | null;
}

/**
 * Attention of one query head over the last `window` of the first `positions` positions, by the contract in kernels.ts.
 * @param pageAt the head's i-th page; asked for what it sees only
 * @param out [headDim]
 */
export function attendHead<Page>(
  math: PageMath<Page>,
  pageAt: (i: number) => Page,
  positions: number,
  { window, softCap, sink }: ScoreRules,
  out: Float32Array,
): void {
  const headDim = out.length;
  const e = new Float32Array(KV_PAGE); // scores, then their exponentials
  const a = new Float32Array(LANES);
  const o = new Float32Array(headDim);
  const O = new Float32Array(headDim);
  let M = 0;
  let L = 0;
  const oldest = window > 0 ? Math.max(0, positions - window) : 0;
  const firstPage = Math.floor(oldest / KV_PAGE);
  const inverseCap = f32(1 / f32(softCap));
  for (let i = firstPage; i * KV_PAGE < positions; i++) {
    const page = pageAt(i);
    const isFirst = i === firstPage;
    const from = isFirst ? oldest - i * KV_PAGE : 0;
    const n = Math.min(KV_PAGE, positions - i * KV_PAGE);
    let m = -Infinity;
    for (let p = from; p < n; p++) {
      e[p] = math.score(page, p);
      if (softCap > 0) e[p] = f32(f32(softCap) * tanhF32(f32(e[p]! * inverseCap)));
      if (e[p]! > m) m = e[p]!;
    }
    a.fill(0);
    for (let p = from; p < n; p++) {
      e[p] = expF32(f32(e[p]! - m));
      a[p % LANES] = f32(a[p % LANES]! + e[p]!);
    }
    const l = tree(a);
    // The first page sets M, L and O; each next one is merged into them.
    const newM = isFirst || m > M ? m : M;
    const scaleOld = isFirst ? 0 : expF32(f32(M - newM));
    const scaleNew = isFirst ? 1 : expF32(f32(m - newM));
    math.weigh(page, e, from, n, o);
    for (let d = 0; d < headDim; d++) {
      O[d] = isFirst ? o[d]! : f32(f32(O[d]! * scaleOld) + f32(o[d]! * scaleNew));
    }
    L = isFirst ? l : f32(f32(L * scaleOld) + f32(l * scaleNew));
    M = newM;
  }
  if (sink !== null) {
    const newM = sink > M ? sink : M;
    const scaleOld = expF32(f32(M - newM));
    L = f32(f32(L * scaleOld) + expF32(f32(sink - newM)));
    for (let d = 0; d < headDim; d++) O[d] = f32(O[d]! * scaleOld);
  }
  const inverse = f32(1 / L);
  for (let d = 0; d < headDim; d++) out[d] = f32(O[d]! * inverse);
}
