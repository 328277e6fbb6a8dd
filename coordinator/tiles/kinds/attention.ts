import { type TileContent, tileLayout } from '../../../daemon/tile/tile.ts';
import { BLOCK, roundUp, WEIGHT_FORMATS } from '../../../kernels/formats.ts';
import type { AttentionPhase, ModelSpec } from '../../model/spec.ts';
import { columnsOf, padded, rowsOf, type TileCuts, type VectorCut, valuesOf } from '../tile-cuts.ts';
import { LEAST_TILES, TARGET_BYTES } from '../tile-sizes.ts';

/**
 * Whole query heads whose Wo columns are whole blocks. A tile stays within the heads of one key/value head where blocks
 * allow, so that it needs one cache only.
 */
export const attention: TileCuts<AttentionPhase> = {
  tiles(model, phase, layer, cols) {
    const { heads, kvHeads, headDim, o } = phase;
    const group = heads / kvHeads;
    const block = WEIGHT_FORMATS[o.tensor.type].sourceBlockValues;
    const fits = (count: number): boolean =>
      heads % count === 0 && (group % count === 0 || count % group === 0) && (count * headDim) % block === 0;
    const counts = Array.from({ length: heads }, (_, i) => i + 1).filter(fits);
    const good = counts.filter(
      (count) => heads / count >= LEAST_TILES && tileLayout(contentOf(model, phase, count, cols)).bytes <= TARGET_BYTES,
    );
    const count = good.at(-1) ?? counts[0] ?? heads;
    const content = contentOf(model, phase, count, cols);
    return Array.from({ length: heads / count }, (_, index) => ({
      ...{ kind: 'attention', layer, index, first: index * count, count },
      ...content,
    }));
  },

  cuts(phase, { first, count }) {
    const { headDim, q, o } = phase;
    return {
      matrices: [rowsOf(q.weight, first * headDim, count * headDim), columnsOf(o, first * headDim, count * headDim)],
      vectors: vectorsOf(phase, first, count),
    };
  },
};

/** Wq rows and Wo columns of `count` heads; the rows are padded like the columns, as one feeds the other. */
function contentOf({ dim }: ModelSpec, phase: AttentionPhase, count: number, cols: number): TileContent {
  const width = roundUp(count * phase.headDim, BLOCK);
  return {
    matrices: [padded(phase.q.weight, width, cols), padded(phase.o, dim, width)],
    vectors: vectorsOf(phase, 0, count).map(({ length, of }) => (of === phase.q.bias ? width : length)),
  };
}

function vectorsOf(phase: AttentionPhase, first: number, count: number): VectorCut[] {
  const { headDim, q, normed, qNorm, sinks } = phase;
  const [normFirst, normCount] = normed === 'all' ? [first, count] : [0, 1];
  return [
    ...valuesOf(q.bias, first * headDim, count * headDim),
    ...valuesOf(qNorm, normFirst * headDim, normCount * headDim),
    ...valuesOf(sinks, first, count),
  ];
}
