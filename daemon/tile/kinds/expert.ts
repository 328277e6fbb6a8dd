import { BLOCK, ROW_GROUP, roundUp } from '../../../kernels/formats.ts';
import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import { type ExpertsSpec, sumLimit } from '../../engine/engine-spec.ts';
import type { TileRules } from '../tile-rules.ts';

/** The network that a tile is of, as its columns are counted over all of them, the shared one last. */
export const networkOf = ({ experts, ffDim }: Pick<ExpertsSpec, 'experts' | 'ffDim'>, first: number): number =>
  Math.min(Math.floor(first / ffDim), experts);

/**
 * `count` columns of one network of a mixture from `first` on, counted over all networks: rows of its Wgate and Wup, columns of its
 * Wdown. Vectors: biases of those rows.
 */
export const expert: TileRules<ExpertsSpec> = {
  phase: 'experts',
  adds: true,

  sizes({ dim, cols }, phase, { first, count }) {
    const network = networkOf(phase, first);
    const end =
      network === phase.experts ? phase.experts * phase.ffDim + phase.sharedFfDim : (network + 1) * phase.ffDim;
    if (first + count > end) return null;
    const width = roundUp(count, BLOCK);
    return {
      matrices: [
        [width, cols],
        [width, cols],
        [roundUp(dim, ROW_GROUP), width],
      ],
      vectors: phase.biased ? [width, width] : [],
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: () => [],

  prepare(kernels, _spec, phase, { matrices, vectors, buffers, gathered }) {
    const [gate, up, down] = matrices as [PlacedMatrix, PlacedMatrix, PlacedMatrix];
    const { activation, biased } = phase;
    return kernels.prepareFeedForward({
      ...{ gate, up, down, activation, buffers, limit: sumLimit(phase) },
      gateBias: biased ? vectors[0]! : null,
      upBias: biased ? vectors[1]! : null,
      gathered,
    });
  },
};
