import { BLOCK, ROW_GROUP, roundUp } from '../../../kernels/formats.ts';
import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import { type FeedForwardSpec, sumLimit } from '../../engine/engine-spec.ts';
import type { TileRules } from '../tile-rules.ts';

/** `count` feed-forward columns from `first` on: their rows of Wgate and Wup, and columns of Wdown. Vectors: biases of those rows. */
export const ffn: TileRules<FeedForwardSpec> = {
  phase: 'ffn',
  adds: true,

  sizes({ dim, cols }, { biased }, { count }) {
    const width = roundUp(count, BLOCK);
    return {
      matrices: [
        [width, cols],
        [width, cols],
        [roundUp(dim, ROW_GROUP), width],
      ],
      vectors: biased ? [width, width] : [],
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: () => [],

  prepare(kernels, _spec, phase, { matrices, vectors, buffers }) {
    const [gate, up, down] = matrices as [PlacedMatrix, PlacedMatrix, PlacedMatrix];
    const { activation, biased } = phase;
    return kernels.prepareFeedForward({
      ...{ gate, up, down, activation, buffers, limit: sumLimit(phase) },
      gateBias: biased ? vectors[0]! : null,
      upBias: biased ? vectors[1]! : null,
      gathered: null,
    });
  },
};
