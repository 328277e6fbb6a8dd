import { tileLayout } from '../../../daemon/tile/tile.ts';
import { ROW_GROUP } from '../../../kernels/formats.ts';
import type { Matrix } from '../../model/spec.ts';
import { padded, rowsOf, type TileCuts } from '../tile-cuts.ts';
import { evenRuns, TARGET_BYTES } from '../tile-sizes.ts';

/** Runs of vocabulary rows. */
export const head: TileCuts<Matrix> = {
  tiles({ vocabSize }, matrix, layer, cols) {
    const groups = Math.ceil(vocabSize / ROW_GROUP);
    const groupBytes = tileLayout({ matrices: [padded(matrix, ROW_GROUP, cols)], vectors: [] }).bytes;
    return evenRuns(groups, Math.floor(TARGET_BYTES / groupBytes)).map(([from, to], index) => {
      const first = from * ROW_GROUP;
      const count = Math.min(to * ROW_GROUP, vocabSize) - first;
      const matrices = [padded(matrix, count, cols)];
      return { ...{ kind: 'head', layer, index, first, count }, ...{ matrices, vectors: [] } };
    });
  },

  cuts(matrix, { first, count }) {
    return { matrices: [rowsOf(matrix, first, count)], vectors: [] };
  },
};
