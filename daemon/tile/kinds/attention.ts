import { BLOCK, ROW_GROUP, roundUp } from '../../../kernels/formats.ts';
import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import { type AttentionSpec, sumLimit } from '../../engine/engine-spec.ts';
import { kvHeadsOfQueries, type TileRules } from '../tile-rules.ts';

/** `count` query heads from `first` on: their rows of Wq and columns of Wo. Within one key/value head, or of whole groups. */
export const attention: TileRules<AttentionSpec> = {
  phase: 'attention',
  adds: true,

  sizes({ dim, cols }, { heads, kvHeads, headDim }, { first, count }) {
    if (first + count > heads) return null;
    const group = heads / kvHeads;
    const isWithinOne = Math.floor(first / group) === Math.floor((first + count - 1) / group);
    const isWholeGroups = first % group === 0 && count % group === 0;
    if (!isWithinOne && !isWholeGroups) return null;
    const width = roundUp(count * headDim, BLOCK);
    return {
      matrices: [
        [width, cols],
        [roundUp(dim, ROW_GROUP), width],
      ],
      vectors: [],
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: (phase, { first, count }) => kvHeadsOfQueries(phase, first, count),

  prepare(kernels, { kv }, phase, { shape, matrices, caches, buffers, step }) {
    const [q, out] = matrices as [PlacedMatrix, PlacedMatrix];
    const { heads, kvHeads, headDim, scale, ropes } = phase;
    const group = Math.min(shape.count, heads / kvHeads);
    const limit = sumLimit(phase);
    return kernels.prepareAttention({
      q,
      out,
      kv,
      headDim,
      scale,
      group,
      caches,
      buffers,
      step: step(ropes[1]),
      limit,
    });
  },
};
