/**
 * Tiles composed from the other kernels, call by call: what a backend that computes a tile in one call must give the
 * bits of.
 */
import { KV_PAGE, kvPageBytes, WEIGHT_FORMATS } from './formats.ts';
import type { Address, Kernels } from './kernels.ts';
import type {
  AttentionWork,
  FeedForwardWork,
  KeyValueWork,
  PlacedMatrix,
  StepRows,
  TileBuffers,
  TileKernels,
} from './tile-work.ts';

/** Reads a u32 of the arena. */
export type ReadWord = (address: Address) => number;

/** Zeroes bytes of the arena. */
export type Clear = (address: Address, bytes: number) => void;

/** The kernels that tiles are composed from. */
type Parts = Omit<Kernels, keyof TileKernels>;

/** A matrix times the phase's input, or times a panel of some of its rows. */
function fromInput(
  kernels: Parts,
  m: PlacedMatrix,
  buffers: TileBuffers,
  rows: number,
  out: Address,
  panel = buffers.panels[WEIGHT_FORMATS[m.format].activation],
): void {
  kernels.matmul(m.format, m.weights, m.rows, m.cols, panel, rows, out, buffers.innerStride);
}

/** Biases and the gated unit, of rows of the inner buffers. */
function gatedUnits(kernels: Parts, work: FeedForwardWork, rows: number): void {
  const { gate, gateBias, upBias, activation, buffers } = work;
  for (let r = 0; r < rows; r++) {
    const at = r * buffers.innerStride;
    const [gates, ups] = [buffers.inner[0] + at, buffers.inner[1] + at];
    if (gateBias !== null) kernels.addScaled(gates, gateBias, 1, gate.rows);
    if (upBias !== null) kernels.addScaled(ups, upBias, 1, gate.rows);
    kernels.glu(activation, gates, ups, gate.rows);
  }
}

/** A matrix times rows of the inner width, into the sums of rows from `first` on. @returns see Kernels.feedForward */
function toSums(
  kernels: Parts,
  { format, weights, rows: outRows, cols }: PlacedMatrix,
  { innerStride, innerPanel, sums, sumStride }: TileBuffers,
  inner: Address,
  first: number,
  rows: number,
  limit: number,
  fresh: boolean,
  list: Address | null = null,
): boolean {
  if (WEIGHT_FORMATS[format].activation === 'f32') {
    kernels.packPanel('f32', inner, innerStride, cols, rows, innerPanel);
  } else if (!kernels.quantizePanel(inner, innerStride, cols, rows, innerPanel)) return false;
  const into = sums + first * sumStride;
  return kernels.matmulSums(format, weights, outRows, cols, innerPanel, rows, into, sumStride, limit, fresh, list);
}

/**
 * What becomes of a row's heads of queries or keys before they are rotated: a bias is added, and each head is normed,
 * or all together by a factor.
 */
function readyHeads(
  kernels: Parts,
  x: Address,
  heads: number,
  headDim: number,
  bias: Address | null,
  norm: Address | null,
  factor: Address | null,
  eps: number,
): void {
  if (bias !== null) kernels.addScaled(x, bias, 1, heads * headDim);
  if (norm === null) return;
  if (factor !== null) kernels.applyNorm(x, norm, factor, heads * headDim);
  else kernels.rmsnorm(x, headDim * 4, norm, headDim, headDim, heads, eps, x, headDim * 4);
}

/** Where the factor of a row of the step is. */
const factorOf = (factors: Address | null, row: number): Address | null =>
  factors === null ? null : factors + row * 4;

/** How many rows from `row` on, before `limit`, are consecutive positions of one sequence: they attend together. */
function runFrom({ tables, positions }: StepRows, word: ReadWord, row: number, limit: number): number {
  let end = row + 1;
  while (
    end < limit &&
    word(tables + end * 4) === word(tables + row * 4) &&
    word(positions + end * 4) - word(positions + row * 4) === end - row
  ) {
    end++;
  }
  return end - row;
}

/** The whole-tile kernels, composed from the others. */
export function composeTiles(kernels: Parts, word: ReadWord, clear: Clear): TileKernels {
  const works: (FeedForwardWork | KeyValueWork | AttentionWork)[] = [];
  const prepare = (work: FeedForwardWork | KeyValueWork | AttentionWork): number => works.push(work) - 1;

  return {
    prepareFeedForward: prepare,
    prepareKeyValue: prepare,
    prepareAttention: prepare,

    feedForward(prepared, first, rows, fresh) {
      const work = works[prepared] as FeedForwardWork;
      const { gate, up, down, buffers, limit } = work;
      const { inner } = buffers;
      fromInput(kernels, gate, buffers, rows, inner[0]);
      fromInput(kernels, up, buffers, rows, inner[1]);
      gatedUnits(kernels, work, rows);
      return toSums(kernels, down, buffers, inner[0], first, rows, limit, fresh);
    },

    expert(prepared, first, rows, list, weights, count, fresh) {
      const work = works[prepared] as FeedForwardWork;
      const { gate, up, down, gathered, buffers, limit } = work;
      const { panels, inner, innerStride, sums, sumStride } = buffers;
      if (gathered === null) throw new RangeError('the tile was not prepared as an expert');
      for (let row = 0, i = 0; row < rows && fresh; row++) {
        if (i < count && word(list + i * 4) === row) i++;
        else clear(sums + (first + row) * sumStride, down.rows * 8);
      }
      if (count === 0) return true;
      const some = count < rows;
      for (const [i, matrix] of [gate, up].entries()) {
        const { activation } = WEIGHT_FORMATS[matrix.format];
        const panel = panels[activation];
        if (some) kernels.gatherPanel(activation, panel, matrix.cols, rows, list, count, gathered);
        fromInput(kernels, matrix, buffers, count, inner[i]!, some ? gathered : panel);
      }
      gatedUnits(kernels, work, count);
      kernels.scaleRows(inner[0], innerStride, weights, gate.rows, count);
      return toSums(kernels, down, buffers, inner[0], first, count, limit, fresh, some ? list : null);
    },

    keyValue(prepared, first, rows) {
      const work = works[prepared] as KeyValueWork;
      const { k, v, kBias, vBias, kNorm, kFactors, eps, kv, headDim, cache, buffers, step } = work;
      const [keys, values] = buffers.inner;
      fromInput(kernels, k, buffers, rows, keys);
      fromInput(kernels, v, buffers, rows, values);
      for (let i = 0; i < rows; i++) {
        const row = first + i;
        const position = word(step.positions + row * 4);
        const page = word(step.pages + (word(step.tables + row * 4) + Math.floor(position / KV_PAGE)) * 4);
        const at = i * buffers.innerStride;
        readyHeads(kernels, keys + at, 1, headDim, kBias, kNorm, factorOf(kFactors, row), eps);
        readyHeads(kernels, values + at, 1, headDim, vBias, null, null, eps);
        kernels.rope(keys + at, 1, headDim, step.rope + row * headDim * 4);
        const place = cache + page * kvPageBytes(kv, headDim);
        kernels.kvStore(kv, keys + at, values + at, headDim, place, position % KV_PAGE);
      }
    },

    queries(prepared, first, rows) {
      const work = works[prepared] as AttentionWork;
      const { q, qBias, qNorm, qFactors, eps, headDim, group, caches, buffers, step } = work;
      const heads = group * caches.length;
      fromInput(kernels, q, buffers, rows, buffers.inner[0]);
      for (let i = 0; i < rows; i++) {
        const row = buffers.inner[0] + i * buffers.innerStride;
        readyHeads(kernels, row, heads, headDim, qBias, qNorm, factorOf(qFactors, first + i), eps);
        kernels.rope(row, heads, headDim, step.rope + (first + i) * headDim * 4);
      }
    },

    attention(prepared, first, rows, fresh) {
      const work = works[prepared] as AttentionWork;
      const { q, kv, headDim, scale, group, window, softCap, buffers, step } = work;
      const { innerStride: stride } = buffers;
      const [queries, attended] = buffers.inner;
      const width = group * work.caches.length * headDim * 4;
      const padding = q.rows * 4 - width;
      for (let i = 0; i < rows && padding > 0; i++) clear(attended + i * stride + width, padding);
      for (const [i, cache] of work.caches.entries()) {
        for (let row = 0, run = 0; row < rows; row += run) {
          run = runFrom(step, word, first + row, first + rows);
          const at = row * stride + i * group * headDim * 4;
          const table = step.pages + word(step.tables + (first + row) * 4) * 4;
          const positions = word(step.positions + (first + row) * 4) + 1;
          kernels.attend(
            kv,
            queries + at,
            stride,
            run,
            group,
            headDim,
            scale,
            cache,
            table,
            positions,
            attended + at,
            stride,
            window,
            softCap,
            work.sinks === null ? null : work.sinks + i * group * 4,
          );
        }
      }
      return toSums(kernels, work.out, buffers, attended, first, rows, work.limit, fresh);
    },
  };
}
