import type { PlacedMatrix } from '../../../kernels/tile-work.ts';
import type { AttentionSpec } from '../../engine/engine-spec.ts';
import type { TileRules } from '../tile-rules.ts';

/**
 * One key/value head: its rows of Wk and of Wv. It comes along with the query heads that attend to it. Vectors: its
 * biases of keys and of values, the norm of its keys, as far as the model has such.
 */
export const kv: TileRules<AttentionSpec> = {
  phase: 'attention',
  adds: false,

  sizes({ cols }, { kvHeads, headDim, biased, normed }, { index, first, count }) {
    if (first >= kvHeads || count !== 1 || index !== first) return null;
    return {
      matrices: [
        [headDim, cols],
        [headDim, cols],
      ],
      vectors: [...(biased ? [headDim, headDim] : []), ...(normed === 'none' ? [] : [headDim])],
    };
  },

  innerWidth: ({ matrices }) => matrices[0]!.rows,

  kvHeads: (_phase, { first }) => [first],

  prepare(
    kernels,
    { kv, rmsEps: eps },
    { headDim, biased, normed, ropes },
    { matrices, vectors, caches, buffers, factors, step },
  ) {
    const [k, v] = matrices as [PlacedMatrix, PlacedMatrix];
    return kernels.prepareKeyValue({
      ...{ k, v, kv, headDim, eps, cache: caches[0]!, buffers, step: step(ropes[0]) },
      kBias: biased ? vectors[0]! : null,
      vBias: biased ? vectors[1]! : null,
      kNorm: normed === 'none' ? null : vectors.at(-1)!,
      kFactors: normed === 'all' ? factors!.k : null,
    });
  },
};
