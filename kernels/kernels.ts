import type { ActivationFormat, ActivationFunction, KvFormat, WeightFormat } from './formats.ts';
import type { AttentionWork, FeedForwardWork, KeyValueWork } from './tile-work.ts';

/**
 * A place in an arena: segment · 2^32 + byte offset in that segment. (WebAssembly has one segment.)
 * Every buffer of one kernel call lies within its own segment; alignment is 16 bytes unless stated.
 */
export type Address = number;

export type BackendName = 'native' | 'wasm' | 'reference';

/**
 * The arithmetic of Starling, over memory in an arena. Native, WebAssembly and reference implement it with identical
 * bits (test/unit/kernels/compliance). Numbers are IEEE f32 with round-to-nearest-even, multiply then add, never fused,
 * never flushed to zero, in the order that each method states. `f32(…)` below marks one rounding.
 *
 * "tree(a)" reduces eight lanes in this order: ((a0+a4)+(a2+a6)) + ((a1+a5)+(a3+a7)).
 *
 * exp(x), for x ≤ 88, is: x < −87 → 0; n = f32(f32(x·1.44269504) + 12582912) − 12582912 (round to nearest even);
 * r = f32(f32(x − f32(n·0.693359375)) − f32(n·−2.12194440e-4));
 * p = 1.9875691500e-4; p = f32(f32(p·r) + c) for c = 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
 * 1.6666665459e-1, 5.0000001201e-1; y = f32(f32(f32(f32(p·f32(r·r))) + r) + 1); result f32(y · 2^n), with 2^n from
 * the bits (n + 127) << 23. Constants are rounded to f32 first. x > 88 is taken as 88; exp(NaN) is NaN. (Cephes expf.)
 *
 * tanh(x) has the sign of x and the magnitude f32(f32(1 − t) / f32(1 + t)), t = exp(−2|x|).
 *
 * NaNs are alike whatever their sign and payload. Outputs do not overlap inputs unless stated. Scalars (eps, scale) are rounded to f32 first.
 * q8 rows hold −127..127 with true sums, as `quantize` makes them.
 */
export interface Kernels {
  readonly backend: BackendName;

  /**
   * out[r][o] = Σ_c W[o][c] · x[r][c], for `rows` rows r and `outRows` (a multiple of 8) outputs o; f32 out.
   *
   * Quantised formats take q8 activations: per block of 32 columns a scale x.d, int8 x.q, and the sums s0, s1 of its halves
   * (s = s0 + s1). dot = Σ w·x.q is an exact integer over the block's integer weights w (formats.ts); acc starts at +0. Blocks in order:
   *   Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4: acc = f32(acc + f32(f32(dot) · f32(w.d · x.d))), with w.d = 2^(e − 128) for MXFP4;
   *   Q4_1, Q5_1 (w = n or n + 16h): the same, then acc = f32(acc + f32(w.m · f32(x.d · f32(s)))).
   * Formats with super-blocks of 256, super-blocks in order, t and u from +0, blocks j = 0..7 of 32 columns in order:
   *   Q4_K, Q5_K (w without scale): t = f32(t + f32(f32(sc·dot) · x.d)); u = f32(u + f32(f32(m) · f32(x.d · f32(s))));
   *   Q2_K: with dot0, dot1 over the two halves, t = f32(t + f32(f32(sc0·dot0 + sc1·dot1) · x.d)); u = f32(u + f32(f32(m0·s0 + m1·s1) · x.d));
   *   then acc = f32(acc + f32(f32(w.d · t) − f32(w.dmin · u))).
   *   Q3_K, Q6_K (w with its offset taken off): t = f32(t + f32(f32(sc0·dot0 + sc1·dot1) · x.d)); IQ4_XS: t = f32(t + f32(f32(sc·dot) · x.d));
   *   then acc = f32(acc + f32(w.d · t)).
   * Products and sums inside f32(…) of integers are exact in 32 bits; the conversion rounds to nearest even.
   * Float formats take f32 activations: eight accumulators a[c mod 8] = f32(a[c mod 8] + f32(w · x)), c in order
   * from 0 (accumulators start at +0), then tree(a).
   *
   * @param weights matrix in tile layout (formats.ts), weights and scales finite: `repack` refuses others
   * @param cols columns, a multiple of the format's tileBlockCols (padded)
   * @param panel of exactly these rows, in the activation format that `format` takes (`packPanel`, `quantizePanel`)
   * @param outStride bytes between output rows
   */
  matmul(
    format: WeightFormat,
    weights: Address,
    outRows: number,
    cols: number,
    panel: Address,
    rows: number,
    out: Address,
    outStride: number,
  ): void;

  /**
   * sums[r][o] += roundTiesToEven(out[r][o] · 2^24), with `out` as `matmul` gives it; sums in f64 (exact integers).
   * @param sumStride bytes between rows of sums
   * @param fresh whether the sums of these rows count as zeros, whatever they hold
   * @param list u32 [rows], 4-byte aligned: row r of the product goes to row list[r] of the sums, each its own; null: to row r
   * @returns false when a value of `out` is not finite or |out · 2^24| exceeds `limit` (sumLimit in daemon/engine/engine-spec.ts);
   * `sums` is then meaningless
   */
  matmulSums(
    format: WeightFormat,
    weights: Address,
    outRows: number,
    cols: number,
    panel: Address,
    rows: number,
    sums: Address,
    sumStride: number,
    limit: number,
    fresh: boolean,
    list: Address | null,
  ): boolean;

  /**
   * Arranges rows of activations, `xStride` bytes apart, as products take them. How is the backend's own affair.
   * @param cols a multiple of 32
   * @param out room for panelBytes(format, cols, rows)
   */
  packPanel(format: ActivationFormat, x: Address, xStride: number, cols: number, rows: number, out: Address): void;

  /**
   * A panel of `count` rows of another panel, which has `rows`.
   * @param list u32 [count], 4-byte aligned: which rows
   * @param out room for panelBytes(format, cols, count)
   */
  gatherPanel(
    format: ActivationFormat,
    panel: Address,
    cols: number,
    rows: number,
    list: Address,
    count: number,
    out: Address,
  ): void;

  /** `quantize` and `packPanel` in one: a q8 panel of rows of f32. @returns false when any value is not finite (the panel is then meaningless) */
  quantizePanel(x: Address, xStride: number, cols: number, rows: number, out: Address): boolean;

  /**
   * Quantises rows of f32 (`cols` a multiple of 32) to q8. Each block of 32: amax = max |x|; if amax < 2^-100 then scale = 0
   * and q = 0; else scale = f32(amax / 127), inv = f32(127 / amax), q = roundTiesToEven(f32(x · inv)); s0, s1 = Σ q over each half.
   * The padding of a row up to its stride is left alone.
   * @returns false when any value is not finite (the output is then meaningless)
   */
  quantize(x: Address, xStride: number, cols: number, rows: number, out: Address, outStride: number): boolean;

  /**
   * y = x · rsqrt(mean(x²) + eps) · weight, row by row. Eight accumulators a[c mod 8] = f32(a[c mod 8] + f32(x·x)), s = tree(a),
   * inv = f32(1 / f32(sqrt(f32(f32(s / dim) + eps)))), y = f32(f32(x · inv) · weight).
   * @param dim the true width; @param cols the padded width (multiple of 8, zeros beyond dim); strides are in bytes
   * @param out may be x itself, with the same stride
   */
  rmsnorm(
    x: Address,
    xStride: number,
    weight: Address,
    dim: number,
    cols: number,
    rows: number,
    eps: number,
    out: Address,
    outStride: number,
  ): void;

  /**
   * Rotates adjacent pairs of `heads` consecutive heads of one row in place: (a, b) → (f32(f32(a·cos) − f32(b·sin)), f32(f32(a·sin) + f32(b·cos))).
   * @param table headDim/2 pairs (cos, sin) as f32, for this row's position; 8-byte aligned
   */
  rope(x: Address, heads: number, headDim: number, table: Address): void;

  /**
   * A gated linear unit: gate[i] becomes, with g = gate[i] and u = up[i], for n values (a multiple of 8):
   *   silu: f32(silu(g) · u), silu(g) = f32(g / f32(1 + exp(−g)));
   *   gelu: f32(gelu(g) · u), gelu(g) = f32(g' / f32(1 + exp(−f32(1.5957691·w)))), w = f32(g' · f32(1 + f32(0.044715·f32(g'·g')))),
   *     g' = −10 for g < −10, where gelu is below 2e-37, else g. (The form with tanh: 1 + tanh(y) = 2 / (1 + exp(−2y)).)
   *   clamped: f32(f32(g' / f32(1 + exp(−f32(1.702·g')))) · f32(u' + 1)), g' = 7 for g > 7, else g; u' = 7 for u > 7, −7 for u < −7, else u.
   *     (OpenAI gpt-oss.)
   * All give 0 for g = u = 0.
   */
  glu(activation: ActivationFunction, gate: Address, up: Address, n: number): void;

  /**
   * Writes K and V (f32) of one position and one key/value head to slot `slot` of a KV page; nothing of other slots changes.
   * headDim is a multiple of 8 up to 512.
   *   f16: each value to the nearest f16, ties to even, overflow to infinity.
   *   q8: K in runs of 32 dimensions (the last may be shorter), V as one run. Of each run amax = max |x|; if any value is not finite
   *   then the scale is the NaN 0x7e00 and q = 0; if amax < 2^-100 then scale = 0 and q = 0; else scale = f16(f32(amax / 127)),
   *   inv = f32(127 / amax), q = roundTiesToEven(f32(x · inv)).
   */
  kvStore(format: KvFormat, k: Address, v: Address, headDim: number, page: Address, slot: number): void;

  /**
   * Attention of `rows` consecutive rows of one sequence, each with `heads` query heads that share one key/value head. Row r sees the
   * first `positions` + r positions, of these only the last `window` where that is not 0. The bits of a row do not depend on how many
   * rows or heads are computed together.
   * Per row and head, pages of which the row sees something, in order (no other is read, nor its id); within a page, for the
   * positions p that the row sees, `score`, where `softCap` is not 0 score[p] = f32(softCap · tanh(f32(score[p] · f32(1 / softCap)))), then:
   *   m = max score;  e[p] = exp(f32(score[p] − m)), 0 for others;  l = tree over eight accumulators a[p mod 8] = f32(a + e[p]), p in order.
   *   f16: qs[d] = f32(q[d]·scale);  score[p] = Σ_d in order f32(acc + f32(qs[d]·k[p][d])), from +0;
   *        o[d] = Σ_p in order f32(acc + f32(e[p]·v[p][d])), from +0.
   *   q8:  once a row and head (i, s) = words(q), qs = f32(s·scale);  with kd the scales of the runs j of 32 dimensions and dot the exact
   *        integer Σ i[d]·k[p][d] over a run, score[p] = f32(qs · Σ_j in order f32(acc + f32(f32(dot)·kd[j][p]))), from +0;
   *        once a page (i, s) = words(f32(e[p]·vd[p]) for p seen, 0 for others), vd the scales of V;  o[d] = f32(s · f32(Σ_p i[p]·v[p][d])), the sum exact.
   *        words(x): amax = max |x|; if any x is not finite then s = NaN and i = 0; if amax < 2^-100 then s = 0 and i = 0;
   *        else s = f32(amax / 32767), inv = f32(32767 / amax), i = roundTiesToEven(f32(x · inv)).
   * Merge: the first page sets M, L, O. Each next: M' = max(M, m); a = exp(f32(M − M')); b = exp(f32(m − M'));
   *   L = f32(f32(L·a) + f32(l·b)); O[d] = f32(f32(O[d]·a) + f32(o[d]·b)); M = M'.
   * Where there are sinks, with that of the head, after the last page: M' = max(M, sink); a = exp(f32(M − M')); b = exp(f32(sink − M'));
   *   L = f32(f32(L·a) + b); O[d] = f32(O[d]·a): one more score, whose value is zero.
   * out[d] = f32(O[d] · f32(1 / L)).
   * @param q first row, heads × headDim f32; rows are `qStride` bytes apart, in `out` `outStride`
   * @param headDim a multiple of 8 up to 512
   * @param kv the head's first page; page `i` of the sequence is at kv + pageTable[i] · kvPageBytes(format, headDim)
   * @param pageTable uint32 page ids, 4-byte aligned
   * @param window positions that a row sees at most, or 0; @param softCap what scores approach, or 0
   * @param sinks f32 [heads], 4-byte aligned, or null
   */
  attend(
    format: KvFormat,
    q: Address,
    qStride: number,
    rows: number,
    heads: number,
    headDim: number,
    scale: number,
    kv: Address,
    pageTable: Address,
    positions: number,
    out: Address,
    outStride: number,
    window: number,
    softCap: number,
    sinks: Address | null,
  ): void;

  /** x[i] = f32(x[i] + f32(scale · y[i])), n values, a multiple of 8. */
  addScaled(x: Address, y: Address, scale: number, n: number): void;

  /** x[r][c] = f32(x[r][c] · factors[r]) for rows of `cols` values (a multiple of 8), xStride bytes apart. */
  scaleRows(x: Address, xStride: number, factors: Address, cols: number, rows: number): void;

  /** x[i] = f32(f32(x[i] · factor[0]) · weight[i]), n values, a multiple of 8. */
  applyNorm(x: Address, weight: Address, factor: Address, n: number): void;

  /** dst[i] += src[i], n values of f64, n a multiple of 8. */
  addSums(dst: Address, src: Address, n: number): void;

  /** out[i] = f32(sums[i] · 2^-24), n values, a multiple of 8. */
  fromSums(sums: Address, n: number, out: Address): void;

  /** x[i] = f32(x[i] + sums[i] · 2^-24), the sum in f64; n values, a multiple of 8. */
  residual(x: Address, sums: Address, n: number): void;

  /**
   * Packs n sums (a multiple of 32) for the wire. Each block of 32: one byte w, the smallest of 2..8 such that all fit in w bytes
   * (two's complement), then 32 × w bytes, little endian.
   * @param out room for n/32 · 257 bytes, whatever is needed
   * @returns bytes written
   */
  packSums(sums: Address, n: number, out: Address): number;

  /**
   * Adds n packed sums to `sums`.
   * @returns false when the bytes are not exactly a packing of n sums, each at most 2^53 in magnitude (`sums` is then meaningless)
   */
  unpackSums(packed: Address, length: number, n: number, sums: Address): boolean;

  /**
   * Cuts rows of a GGUF tensor into tile layout.
   * @param source first row; rows are `sourceStride` bytes apart and hold `cols` values from there on; no alignment
   * @param outRows rows written, a multiple of 8, and @param outCols columns written, a multiple of tileBlockCols: beyond `rows` × `cols` all bytes
   * are zero; `cols` is a multiple of the format's sourceBlockValues
   * @returns false when a weight or scale is not finite (MXFP4: e = 255); `out` is then meaningless
   */
  repack(
    format: WeightFormat,
    source: Address,
    sourceStride: number,
    rows: number,
    cols: number,
    out: Address,
    outRows: number,
    outCols: number,
  ): boolean;

  /** Make a tile ready to be computed again and again. @returns what the following methods know it by */
  prepareFeedForward(work: FeedForwardWork): number;
  prepareKeyValue(work: KeyValueWork): number;
  prepareAttention(work: AttentionWork): number;

  /*
   * Whole tiles for the rows of the panels, which are the step's rows from `first` on, as `composeTiles` (compose-tiles.ts) puts
   * them together from the other kernels: in one call, as memory idles between two.
   */

  /**
   * down × glu(gate × x + gateBias, up × x + upBias), into the sums.
   * @param fresh see `matmulSums`
   * @returns false when a value is not finite, or is too large for the sums (which are then meaningless)
   */
  feedForward(prepared: number, first: number, rows: number, fresh: boolean): boolean;

  /**
   * The same for some rows, as one expert of several: what glu gives is multiplied by a row's weight, f32(inner · weight), before down.
   * Sums of other rows stay as they are, or, where `fresh`, become zeros. Where these are all rows of the panels, nothing is copied.
   * @param list u32 [count], 4-byte aligned: rows of the panels, ascending, each once; row 0 is row `first` of the step
   * @param weights f32 [count], 4-byte aligned
   * @param count may be 0
   * @returns see `feedForward`
   */
  expert(
    prepared: number,
    first: number,
    rows: number,
    list: Address,
    weights: Address,
    count: number,
    fresh: boolean,
  ): boolean;

  /** k × x + kBias, normed by kNorm (and kFactors), rotated, and v × x + vBias, into the cache. */
  keyValue(prepared: number, first: number, rows: number): void;

  /** q × x + qBias, normed by qNorm (and qFactors), rotated, into the tile's buffers, from which `attention` takes it. */
  queries(prepared: number, first: number, rows: number): void;

  /** out × attention, into the sums; for rows whose keys and values are in the caches. @returns see `feedForward` */
  attention(prepared: number, first: number, rows: number, fresh: boolean): boolean;
}
