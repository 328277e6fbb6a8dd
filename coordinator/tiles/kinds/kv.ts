import type { AttentionPhase } from '../../model/spec.ts';
import { padded, rowsOf, type TileCuts } from '../tile-cuts.ts';

/** A key/value head each. */
export const kv: TileCuts<AttentionPhase> = {
  tiles(_model, { kvHeads, headDim, k, v }, layer, cols) {
    const matrices = [padded(k, headDim, cols), padded(v, headDim, cols)];
    return Array.from({ length: kvHeads }, (_, index) => ({
      ...{ kind: 'kv', layer, index, first: index, count: 1 },
      ...{ matrices, vectors: [] },
    }));
  },

  cuts({ headDim, k, v }, { first }) {
    return [rowsOf(k, first * headDim, headDim), rowsOf(v, first * headDim, headDim)];
  },
};
