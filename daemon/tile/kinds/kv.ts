import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import type { AttentionSpec } from '../../engine/engine-spec.ts';
import type { TileRules } from '../tile-rules.ts';

/** One key/value head: its rows of Wk and of Wv. It comes along with the query heads that attend to it. */
export const kv: TileRules<AttentionSpec> = {
  phase: 'attention',
  adds: false,

  sizes({ cols }, { kvHeads, headDim }, { index, first, count }) {
    if (first >= kvHeads || count !== 1 || index !== first) return null;
    return {
      matrices: [
        [headDim, cols],
        [headDim, cols],
      ],
      vectors: [],
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: (_phase, { first }) => [first],

  prepare(kernels, spec, { headDim, ropes }, { matrices, caches, buffers, step }) {
    const [k, v] = matrices as [PlacedMatrix, PlacedMatrix];
    return kernels.prepareKeyValue({ k, v, kv: spec.kv, headDim, cache: caches[0]!, buffers, step: step(ropes[0]) });
  },
};
