import { BLOCK, ROW_GROUP, roundUp } from '../../../kernels/formats.ts';
import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import { type AttentionSpec, sumLimit } from '../../engine/engine-spec.ts';
import { kvHeadsOfQueries, type TileRules } from '../tile-rules.ts';

/**
 * `count` query heads from `first` on: their rows of Wq and columns of Wo. Within one key/value head, or of whole
 * groups. Vectors: their part of Wq's bias, the norm of a head or their part of that of all, their sinks, as far as the
 * model has such.
 */
export const attention: TileRules<AttentionSpec> = {
  phase: 'attention',
  adds: true,

  sizes({ dim, cols }, phase, { first, count }) {
    const { heads, kvHeads, headDim } = phase;
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
      vectors: vectorsOf(phase, {
        qBias: width,
        qNorm: phase.normed === 'all' ? count * headDim : headDim,
        sinks: count,
      }),
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: (phase, { first, count }) => kvHeadsOfQueries(phase, first, count),

  prepare(kernels, { kv, rmsEps: eps }, phase, { shape, matrices, vectors, caches, buffers, factors, step }) {
    const [q, out] = matrices as [PlacedMatrix, PlacedMatrix];
    const { heads, kvHeads, headDim, scale, softCap, window, biased, normed, sinks, ropes } = phase;
    return kernels.prepareAttention({
      ...{ q, out, kv, headDim, scale, softCap, window, eps, caches, buffers },
      qBias: biased ? vectors[0]! : null,
      qNorm: normed === 'none' ? null : vectors[biased ? 1 : 0]!,
      qFactors: normed === 'all' ? factors!.q : null,
      sinks: sinks ? vectors.at(-1)! : null,
      group: Math.min(shape.count, heads / kvHeads),
      step: step(ropes[1]),
      limit: sumLimit(phase),
    });
  },
};

/** Lengths of the vectors that follow the matrices, in order. */
function vectorsOf(
  { biased, normed, sinks }: AttentionSpec,
  length: { readonly qBias: number; readonly qNorm: number; readonly sinks: number },
): number[] {
  return [
    ...(biased ? [length.qBias] : []),
    ...(normed === 'none' ? [] : [length.qNorm]),
    ...(sinks ? [length.sinks] : []),
  ];
}
