import {
  type ActivationFormat,
  KV_PAGE,
  type KvFormat,
  kvPageBytes,
  WEIGHT_FORMATS,
  type WeightFormat,
} from './formats.ts';
import type { Address, Kernels } from './kernels.ts';

/** A matrix in tile layout; see Kernels.matmul. */
export interface PlacedMatrix {
  readonly format: WeightFormat;
  readonly weights: Address;
  readonly rows: number;
  readonly cols: number;
}

/** Where a thread computes tiles. Rows of `panels` and of `inner` are those of the call, rows of `sums` those of the step. */
export interface TileBuffers {
  /** The phase's input, in both formats. */
  readonly panels: Readonly<Record<ActivationFormat, Address>>;
  /** f32 rows of a tile's first products, `innerStride` bytes apart. */
  readonly inner: readonly [Address, Address];
  readonly innerStride: number;
  /** Room for rows of the inner width as a panel of either format. */
  readonly innerPanel: Address;
  readonly sums: Address;
  readonly sumStride: number;
}

/** What a step says of its rows. */
export interface StepRows {
  /** u32 [row] */
  readonly positions: Address;
  /** u32 [row]: where the row's page table begins in `pages`; the same for rows of the same sequence. */
  readonly tables: Address;
  /** u32 page ids */
  readonly pages: Address;
  /** f32 [row][headDim]; see Kernels.rope */
  readonly rope: Address;
}

export interface FeedForwardWork {
  readonly gate: PlacedMatrix;
  readonly up: PlacedMatrix;
  /** Takes as many columns as gate and up have rows. */
  readonly down: PlacedMatrix;
  readonly buffers: TileBuffers;
  /** See Kernels.matmulSums. */
  readonly limit: number;
}

/** Of one key/value head. */
export interface KeyValueWork {
  readonly k: PlacedMatrix;
  readonly v: PlacedMatrix;
  readonly kv: KvFormat;
  readonly headDim: number;
  /** The head's first page. */
  readonly cache: Address;
  readonly buffers: TileBuffers;
  readonly step: StepRows;
}

/** Of some query heads. */
export interface AttentionWork {
  readonly q: PlacedMatrix;
  readonly out: PlacedMatrix;
  readonly kv: KvFormat;
  readonly headDim: number;
  readonly scale: number;
  /** Query heads that share a key/value head, and the caches of those, in order. */
  readonly group: number;
  readonly caches: readonly Address[];
  readonly buffers: TileBuffers;
  readonly step: StepRows;
  readonly limit: number;
}

/** The kernels that compute whole tiles; see Kernels. */
export type TileKernels = Pick<
  Kernels,
  'prepareFeedForward' | 'prepareKeyValue' | 'prepareAttention' | 'feedForward' | 'keyValue' | 'queries' | 'attention'
>;

/** Reads a u32 of the arena. */
export type ReadWord = (address: Address) => number;

/** Zeroes bytes of the arena. */
export type Clear = (address: Address, bytes: number) => void;

/** Tiles composed from the other kernels, call by call: what a backend that computes a tile in one call must give the bits of. */
export function composeTiles(kernels: Omit<Kernels, keyof TileKernels>, word: ReadWord, clear: Clear): TileKernels {
  const works: (FeedForwardWork | KeyValueWork | AttentionWork)[] = [];
  const prepare = (work: FeedForwardWork | KeyValueWork | AttentionWork): number => works.push(work) - 1;

  const fromInput = (m: PlacedMatrix, { panels, innerStride }: TileBuffers, rows: number, out: Address): void => {
    const panel = panels[WEIGHT_FORMATS[m.format].activation];
    kernels.matmul(m.format, m.weights, m.rows, m.cols, panel, rows, out, innerStride);
  };

  const toSums = (
    { format, weights, rows: outRows, cols }: PlacedMatrix,
    { innerStride, innerPanel, sums, sumStride }: TileBuffers,
    inner: Address,
    first: number,
    rows: number,
    limit: number,
    fresh: boolean,
  ): boolean => {
    if (WEIGHT_FORMATS[format].activation === 'f32') {
      kernels.packPanel('f32', inner, innerStride, cols, rows, innerPanel);
    } else if (!kernels.quantizePanel(inner, innerStride, cols, rows, innerPanel)) return false;
    const into = sums + first * sumStride;
    return kernels.matmulSums(format, weights, outRows, cols, innerPanel, rows, into, sumStride, limit, fresh);
  };

  /** How many rows from `row` on, before `limit`, are consecutive positions of one sequence: they attend together. */
  const runFrom = ({ tables, positions }: StepRows, row: number, limit: number): number => {
    let end = row + 1;
    while (
      end < limit &&
      word(tables + end * 4) === word(tables + row * 4) &&
      word(positions + end * 4) - word(positions + row * 4) === end - row
    ) {
      end++;
    }
    return end - row;
  };

  return {
    prepareFeedForward: prepare,
    prepareKeyValue: prepare,
    prepareAttention: prepare,

    feedForward(prepared, first, rows, fresh) {
      const { gate, up, down, buffers, limit } = works[prepared] as FeedForwardWork;
      const { inner, innerStride } = buffers;
      fromInput(gate, buffers, rows, inner[0]);
      fromInput(up, buffers, rows, inner[1]);
      for (let r = 0; r < rows; r++) {
        kernels.swiglu(inner[0] + r * innerStride, inner[1] + r * innerStride, gate.rows);
      }
      return toSums(down, buffers, inner[0], first, rows, limit, fresh);
    },

    keyValue(prepared, first, rows) {
      const { k, v, kv, headDim, cache, buffers, step } = works[prepared] as KeyValueWork;
      const [keys, values] = buffers.inner;
      fromInput(k, buffers, rows, keys);
      fromInput(v, buffers, rows, values);
      for (let i = 0; i < rows; i++) {
        const row = first + i;
        const position = word(step.positions + row * 4);
        const page = word(step.pages + (word(step.tables + row * 4) + Math.floor(position / KV_PAGE)) * 4);
        const at = i * buffers.innerStride;
        kernels.rope(keys + at, 1, headDim, step.rope + row * headDim * 4);
        const place = cache + page * kvPageBytes(kv, headDim);
        kernels.kvStore(kv, keys + at, values + at, headDim, place, position % KV_PAGE);
      }
    },

    queries(prepared, first, rows) {
      const { q, headDim, group, caches, buffers, step } = works[prepared] as AttentionWork;
      fromInput(q, buffers, rows, buffers.inner[0]);
      for (let i = 0; i < rows; i++) {
        const table = step.rope + (first + i) * headDim * 4;
        kernels.rope(buffers.inner[0] + i * buffers.innerStride, group * caches.length, headDim, table);
      }
    },

    attention(prepared, first, rows, fresh) {
      const work = works[prepared] as AttentionWork;
      const { q, kv, headDim, group, buffers, step } = work;
      const { innerStride: stride } = buffers;
      const [queries, attended] = buffers.inner;
      const width = group * work.caches.length * headDim * 4;
      const padding = q.rows * 4 - width;
      for (let i = 0; i < rows && padding > 0; i++) clear(attended + i * stride + width, padding);
      for (const [i, cache] of work.caches.entries()) {
        for (let row = 0, run = 0; row < rows; row += run) {
          run = runFrom(step, first + row, first + rows);
          const at = row * stride + i * group * headDim * 4;
          const table = step.pages + word(step.tables + (first + row) * 4) * 4;
          const positions = word(step.positions + (first + row) * 4) + 1;
          const from = queries + at;
          const to = attended + at;
          kernels.attend(kv, from, stride, run, group, headDim, work.scale, cache, table, positions, to, stride);
        }
      }
      return toSums(work.out, buffers, attended, first, rows, work.limit, fresh);
    },
  };
}
