import { tileLayout } from '../../../daemon/tile/tile.ts';
import type { NormsPhase } from '../../model/spec.ts';
import { padded, rowsOf, type TileCuts } from '../tile-cuts.ts';
import { evenRuns, TARGET_BYTES } from '../tile-sizes.ts';

/** Runs of heads of queries, then of keys. */
export const norm: TileCuts<NormsPhase> = {
  tiles(_model, { of: { q, k, heads, kvHeads, headDim } }, layer, cols) {
    const runsOf = ({ weight }: typeof q, all: number, before: number) => {
      const matrix = (count: number) => padded(weight, count * headDim, cols);
      const headBytes = tileLayout({ matrices: [matrix(1)], vectors: [] }).bytes;
      return evenRuns(all, Math.floor(TARGET_BYTES / headBytes)).map(([from, to]) => ({
        ...{ first: before + from, count: to - from },
        ...{ matrices: [matrix(to - from)], vectors: [] },
      }));
    };
    const runs = [...runsOf(q, heads, 0), ...runsOf(k, kvHeads, heads)];
    return runs.map((run, index) => ({ kind: 'norm', layer, index, ...run }));
  },

  cuts({ of: { q, k, heads, headDim } }, { first, count }) {
    const [{ weight }, head] = first < heads ? [q, first] : [k, first - heads];
    return { matrices: [rowsOf(weight, head * headDim, count * headDim)], vectors: [] };
  },
};
