import { ROW_GROUP, roundUp } from '../../../kernels/formats.ts';
import type { TileRules } from '../tile-rules.ts';

/**
 * `count` rows of the vocabulary from `first` on. Its products are logits: one matmul, for which nothing is made ready.
 */
export const head: TileRules = {
  phase: null,
  adds: false,

  sizes({ cols, vocabSize }, _phase, { layer, first, count }) {
    if (layer !== 0 || first % ROW_GROUP !== 0 || first + count > vocabSize) return null;
    return { matrices: [[roundUp(count, ROW_GROUP), cols]], vectors: [] };
  },

  innerWidth: () => 0,

  kvHeads: () => [],

  prepare: () => 0,
};
