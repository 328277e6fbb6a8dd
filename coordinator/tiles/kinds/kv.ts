import type { AttentionPhase } from '../../model/spec.ts';
import { padded, rowsOf, type TileCuts, type VectorCut, valuesOf } from '../tile-cuts.ts';

/** A key/value head each. */
export const kv: TileCuts<AttentionPhase> = {
  tiles(_model, phase, layer, cols) {
    const { kvHeads, headDim, k, v } = phase;
    const matrices = [padded(k.weight, headDim, cols), padded(v.weight, headDim, cols)];
    const vectors = vectorsOf(phase, 0).map(({ length }) => length);
    return Array.from({ length: kvHeads }, (_, index) => ({
      ...{ kind: 'kv', layer, index, first: index, count: 1 },
      ...{ matrices, vectors },
    }));
  },

  cuts(phase, { first }) {
    const { headDim, k, v } = phase;
    return {
      matrices: [k, v].map(({ weight }) => rowsOf(weight, first * headDim, headDim)),
      vectors: vectorsOf(phase, first),
    };
  },
};

function vectorsOf({ headDim, k, v, normed, kNorm }: AttentionPhase, head: number): VectorCut[] {
  return [
    ...valuesOf(k.bias, head * headDim, headDim),
    ...valuesOf(v.bias, head * headDim, headDim),
    ...valuesOf(kNorm, normed === 'all' ? head * headDim : 0, headDim),
  ];
}
