import type { WeightFormat } from '../../kernels/formats.ts';
import type { TensorInfo } from './tensor-info.ts';

/** A tensor whose type this version of Starling computes with. */
export interface Weight extends TensorInfo {
  readonly type: WeightFormat;
}

export interface LayerWeights {
  /** f32 vectors of `dim`. */
  readonly attentionNorm: TensorInfo;
  readonly ffnNorm: TensorInfo;
  /** [heads·headDim][dim], [kvHeads·headDim][dim] twice, [dim][heads·headDim] (rows × columns). */
  readonly q: Weight;
  readonly k: Weight;
  readonly v: Weight;
  readonly o: Weight;
  /** [ffDim][dim] twice, [dim][ffDim]. */
  readonly gate: Weight;
  readonly up: Weight;
  readonly down: Weight;
}

export interface RopeSpec {
  /** Leading dimensions of a head that are rotated; even, at most headDim. */
  readonly dims: number;
  readonly base: number;
  /** Linear scaling: positions are divided by this. */
  readonly linearFactor: number;
  /** Llama 3 scaling: frequency i is divided by factors[i]; dims/2 of them. */
  readonly factors: Float32Array | null;
  /** Queries and keys are multiplied by this as they are rotated; 1 for nearly all models. */
  readonly scale: number;
}

/** The hyperparameters of a model and where its weights are; everything checked against the tensors' real shapes. */
export interface ModelSpec {
  readonly architecture: 'llama';
  readonly name: string;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly rmsEps: number;
  readonly rope: RopeSpec;
  readonly embedding: Weight;
  readonly outputNorm: TensorInfo;
  /** The embedding itself when the model ties them. */
  readonly head: Weight;
  readonly layers: readonly LayerWeights[];
}
