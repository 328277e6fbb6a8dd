import type { NormsSpec } from '../../engine/engine-spec.ts';
import type { TileRules } from '../tile-rules.ts';

/**
 * `count` heads from `first` on, of queries or of keys, which are counted after those of queries: their rows of Wq or
 * Wk. They are those of attention once more, so that every tile is of one phase and has one place in the order of
 * reading. What they give is added up without a kernel of its own: one matmul, for which nothing is made ready, and
 * squares (mean-squares.ts).
 */
export const norm: TileRules<NormsSpec> = {
  phase: 'norms',
  adds: true,

  sizes({ cols }, { heads, kvHeads, headDim }, { first, count }) {
    if (first + count > (first < heads ? heads : heads + kvHeads)) return null;
    return { matrices: [[count * headDim, cols]], vectors: [] };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: () => [],

  prepare: () => 0,
};
