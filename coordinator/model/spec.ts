import type { WeightFormat } from '../../kernels/formats.ts';
import type { TensorInfo } from './tensor-info.ts';

/** A tensor whose type this version of Starling computes with. */
export interface Weight extends TensorInfo {
  readonly type: WeightFormat;
}

/** Heads whose rotary pairs stand in the file as two halves (i, i + dims/2) of their first `dims` rows; kernels want them side by side. */
export interface Halves {
  readonly headDim: number;
  readonly dims: number;
}

/** Rows of a tensor, or all of them: a fused tensor holds several matrices, one below the other. */
export interface Matrix {
  readonly tensor: Weight;
  readonly firstRow: number;
  readonly rows: number;
  readonly cols: number;
  readonly halves: Halves | null;
}

/** An f32 vector: a norm, a bias. */
export interface Vector {
  readonly tensor: TensorInfo;
  readonly halves: Halves | null;
}

/** What every phase does around its products: x += f(norm(x)). */
export interface PhaseFrame {
  /** Of `dim`. */
  readonly inputNorm: Vector;
}

/** Attention of `heads` query heads over `kvHeads` key/value heads. */
export interface AttentionPhase extends PhaseFrame {
  readonly kind: 'attention';
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Scores are q·k times this. */
  readonly scale: number;
  /** Which of ModelSpec.ropes turn keys and queries. */
  readonly ropes: readonly [keys: number, queries: number];
  /** [heads·headDim][dim], [kvHeads·headDim][dim] twice, [dim][heads·headDim] (rows × columns). */
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly o: Matrix;
}

/** A feed-forward network: down × (act(gate × x) · (up × x)). */
export interface FeedForwardPhase extends PhaseFrame {
  readonly kind: 'ffn';
  /** [ffDim][dim] twice, [dim][ffDim]. */
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
}

export type ModelPhase = AttentionPhase | FeedForwardPhase;

/** A rotary table (Su et al. 2021, "RoFormer", §3.2.2). */
export interface RopeSpec {
  /** The headDim of the heads that it turns. */
  readonly width: number;
  /** Radians that pair i turns by a position; pairs beyond these are not turned. */
  readonly frequencies: Float64Array;
  /** What is turned is also multiplied by this; 1 for nearly all models. */
  readonly scale: number;
}

/** The hyperparameters of a model and where its weights are; everything checked against the tensors' real shapes. */
export interface ModelSpec {
  readonly architecture: string;
  readonly name: string;
  readonly dim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly rmsEps: number;
  readonly ropes: readonly RopeSpec[];
  readonly embedding: Weight;
  readonly outputNorm: Vector;
  /** The embedding itself when the model ties them. */
  readonly head: Matrix;
  /** Each layer's phases, in order. */
  readonly layers: readonly (readonly ModelPhase[])[];
}
