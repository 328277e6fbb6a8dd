import type { ActivationFormat, ActivationFunction, KvFormat, WeightFormat } from './formats.ts';
import type { Address, Kernels } from './kernels.ts';

/** A matrix in tile layout; see Kernels.matmul. */
export interface PlacedMatrix {
  readonly format: WeightFormat;
  readonly weights: Address;
  readonly rows: number;
  readonly cols: number;
}

/**
 * Where a thread computes tiles. Rows of `panels` and of `inner` are those of the call, rows of `sums` those of the
 * step.
 */
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
  /** f32, a value for each row of gate, zeros where rows are padding; null where the model has none. */
  readonly gateBias: Address | null;
  readonly upBias: Address | null;
  readonly activation: ActivationFunction;
  /** Of an expert: room for rows of the input as a panel of either format; else null. */
  readonly gathered: Address | null;
  /** Takes as many columns as gate and up have rows. */
  readonly down: PlacedMatrix;
  readonly buffers: TileBuffers;
  /** See Kernels.matmulSums. */
  readonly limit: number;
}

/** Of one key/value head. Biases and norm are f32 [headDim], or null where the model has none. */
export interface KeyValueWork {
  readonly k: PlacedMatrix;
  readonly v: PlacedMatrix;
  readonly kBias: Address | null;
  readonly vBias: Address | null;
  /** Weights with which the head's keys are normed (Kernels.rmsnorm) before they are rotated. */
  readonly kNorm: Address | null;
  /** f32 [row] of the step, where keys are normed over all heads together (Kernels.applyNorm); else null. */
  readonly kFactors: Address | null;
  /** Of the norm of a head. */
  readonly eps: number;
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
  /** f32, a value for each of q's that is of a head; null where the model has none. */
  readonly qBias: Address | null;
  /** f32 [headDim]: weights with which each head is normed (Kernels.rmsnorm) before it is rotated, or null. */
  readonly qNorm: Address | null;
  /**
   * f32 [row] of the step, where queries are normed over all heads together (Kernels.applyNorm), with weights for each
   * value of the tile's heads; else null.
   */
  readonly qFactors: Address | null;
  /** Of the norm of a head. */
  readonly eps: number;
  readonly out: PlacedMatrix;
  readonly kv: KvFormat;
  readonly headDim: number;
  readonly scale: number;
  /** See Kernels.attend; sinks of all heads of the tile. */
  readonly window: number;
  readonly softCap: number;
  readonly sinks: Address | null;
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
  | 'prepareFeedForward'
  | 'prepareKeyValue'
  | 'prepareAttention'
  | 'feedForward'
  | 'expert'
  | 'keyValue'
  | 'queries'
  | 'attention'
>;
