import type { ModelSource } from '../model-source.ts';
import type { ModelPhase } from '../spec.ts';

/** The sizes of a transformer, within bounds; not yet compared with its tensors. */
export interface Sizes {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffDim: number;
  readonly contextLength: number;
  readonly rmsEps: number;
}

/**
 * @param ffDim where the file does not say, as all networks are experts
 * @throws StarlingError model_invalid, model_unsupported_architecture naming a metadata key
 */
export function readSizes(source: ModelSource, ffDim?: number): Sizes {
  const dim = source.integer('embedding_length', 8, 65_536);
  const layers = source.integer('block_count', 1, 1024);
  const heads = source.integerOfLayers('attention.head_count', layers, 1, 1024);
  const kvHeads = source.integerOfLayers('attention.head_count_kv', layers, 1, heads, heads);
  if (heads % kvHeads !== 0) {
    throw source.invalid('attention.head_count_kv', `is ${kvHeads}, which does not divide the ${heads} query heads`);
  }
  return {
    layers,
    dim,
    heads,
    kvHeads,
    headDim: readHeadDim(source, dim, heads),
    ffDim: source.integerOfLayers('feed_forward_length', layers, 1, 2 ** 20, ffDim),
    contextLength: source.integer('context_length', 1, 2 ** 24),
    rmsEps: readEpsilon(source),
  };
}

/** Each layer's phases. */
export const layersOf = ({ layers }: Sizes, phasesOf: (layer: number) => ModelPhase[]): ModelPhase[][] =>
  Array.from({ length: layers }, (_, layer) => phasesOf(layer));

function readHeadDim(source: ModelSource, dim: number, heads: number): number {
  const value = source.number('attention.key_length', dim / heads);
  if (!Number.isInteger(value) || value < 8 || value > 512 || value % 8 !== 0) {
    throw source.invalid(
      'attention.key_length',
      `(or embedding_length / head_count) is ${value}; a multiple of 8 up to 512 is supported`,
    );
  }
  const valueLength = source.number('attention.value_length', value);
  if (valueLength !== value) {
    throw source.invalid(
      'attention.value_length',
      `is ${valueLength}, but keys have ${value}; only equal lengths are supported`,
    );
  }
  return value;
}

function readEpsilon(source: ModelSource): number {
  const name = 'attention.layer_norm_rms_epsilon';
  const value = source.number(name);
  if (!(value > 0 && value < 1)) throw source.invalid(name, `is ${value}; a number between 0 and 1 is expected`);
  return value;
}
