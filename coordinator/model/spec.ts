import type { ActivationFunction, WeightFormat } from '../../kernels/formats.ts';
import type { TensorInfo } from './tensor-info.ts';

/** A tensor whose type this version of Starling computes with. */
export interface Weight extends TensorInfo {
  readonly type: WeightFormat;
}

/**
 * Heads whose rotary pairs stand in the file as two halves (i, i + dims/2) of their first `dims` rows; kernels want
 * them side by side.
 */
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

/** An f32 vector, a norm or a bias: `length` values of a tensor from `first` on. */
export interface Vector {
  readonly tensor: TensorInfo;
  readonly first: number;
  readonly length: number;
  readonly halves: Halves | null;
}

/** A product with what is added to it: rows × x + bias. */
export interface Projection {
  readonly weight: Matrix;
  readonly bias: Vector | null;
}

/**
 * What every phase does around its products: x += outputScale · outputNorm(f(inputNorm(x)) + outputBias); vectors of
 * `dim`.
 */
export interface PhaseFrame {
  readonly inputNorm: Vector | null;
  readonly outputNorm: Vector | null;
  readonly outputBias: Vector | null;
  readonly outputScale: number;
}

/** Attention of `heads` query heads over `kvHeads` key/value heads. */
export interface AttentionPhase extends PhaseFrame {
  readonly kind: 'attention';
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Scores are q·k times this, */
  readonly scale: number;
  /** and bounded by cap · tanh(score / cap); 0 for none. */
  readonly softCap: number;
  /** Positions that a row sees, itself included; 0 for all before it. */
  readonly window: number;
  /** Which of ModelSpec.ropes turn keys and queries. */
  readonly ropes: readonly [keys: number, queries: number];
  /** [heads·headDim][dim], [kvHeads·headDim][dim] twice, [dim][heads·headDim] (rows × columns). */
  readonly q: Projection;
  readonly k: Projection;
  readonly v: Projection;
  readonly o: Matrix;
  /**
   * Whether queries and keys are normed before they are turned: each head by itself, or all together, after a phase of
   * norms.
   */
  readonly normed: 'none' | 'each' | 'all';
  /** By these: vectors of headDim, or of heads·headDim and kvHeads·headDim. */
  readonly qNorm: Vector | null;
  readonly kNorm: Vector | null;
  /** One more score for each query head, whose value is zero. */
  readonly sinks: Vector | null;
}

/** Finds the scale of rows of queries and keys over all heads; nothing is added to the residual stream. */
export interface NormsPhase extends PhaseFrame {
  readonly kind: 'norms';
  /** Which follows, with the same input. */
  readonly of: AttentionPhase;
}

/** A feed-forward network: down × (act(gate × x) · (up × x)). */
export interface FeedForwardPhase extends PhaseFrame {
  readonly kind: 'ffn';
  /** [ffDim][dim] twice, [dim][ffDim]. */
  readonly gate: Projection;
  readonly up: Projection;
  readonly down: Matrix;
  readonly activation: ActivationFunction;
}

/** What makes scores of what the router gives: over all networks, each by itself, or over those that were chosen. */
export type Gating = 'softmax' | 'sigmoid' | 'softmax-of-chosen';

/** How rows are routed to networks. */
export interface Routing {
  /** [experts][dim]. */
  readonly router: Projection;
  readonly gating: Gating;
  /** Added to scores where networks are chosen, and not to their weights; of `experts`. */
  readonly choiceBias: Vector | null;
  /** Networks that a row uses. */
  readonly used: number;
  /** Whether their weights are made to sum to one. */
  readonly normalised: boolean;
  /** Weights are multiplied by this at last. */
  readonly scale: number;
}

/** One network of a mixture. */
export interface Network {
  readonly gate: Projection;
  readonly up: Projection;
  readonly down: Matrix;
}

/** A mixture of experts: every row uses some of its networks, with weights, and the shared one. */
export interface ExpertsPhase extends PhaseFrame {
  readonly kind: 'experts';
  readonly routing: Routing;
  readonly experts: readonly Network[];
  readonly activation: ActivationFunction;
  /** Added to what each network gives, times its weight; of `dim`. */
  readonly downBiases: readonly Vector[] | null;
  /** A network that every row uses, with a weight of sigmoid(gate · x), or of 1 without a gate; vector of dim. */
  readonly shared: (Network & { readonly routerGate: Vector | null }) | null;
}

export type ModelPhase = NormsPhase | AttentionPhase | FeedForwardPhase | ExpertsPhase;

/** A rotary table (Su et al. 2021, "RoFormer", §3.2.2). */
export interface RopeSpec {
  /** The headDim of the heads that it turns. */
  readonly width: number;
  /** Radians that pair i turns by a position; pairs beyond these are not turned. */
  readonly frequencies: Float64Array;
  /** Those of a model that is served with more positions than so many. */
  readonly long: { readonly beyond: number; readonly frequencies: Float64Array } | null;
  /** What is turned is also multiplied by this; 1 for nearly all models. */
  readonly scale: number;
  /** All of a head is multiplied by 1 + scale · ln(1 + ⌊position / every⌋). */
  readonly temperature: { readonly scale: number; readonly every: number } | null;
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
  /** Embeddings are multiplied by this, */
  readonly embeddingScale: number;
  /** logits by this, */
  readonly logitScale: number;
  /** and bounded by cap · tanh(logit / cap); 0 for none. */
  readonly logitCap: number;
  readonly embedding: Weight;
  readonly outputNorm: Vector;
  /** The embedding itself when the model ties them. */
  readonly head: Matrix;
  /** Each layer's phases, in order. */
  readonly layers: readonly (readonly ModelPhase[])[];
}
