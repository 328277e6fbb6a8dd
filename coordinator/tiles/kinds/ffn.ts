import { type TileContent, tileLayout } from '../../../daemon/tile/tile.ts';
import { BLOCK, roundUp, WEIGHT_FORMATS } from '../../../kernels/formats.ts';
import type { FeedForwardPhase, ModelSpec } from '../../model/spec.ts';
import { columnsOf, padded, rowsOf, type TileCuts, valuesOf } from '../tile-cuts.ts';
import { evenRuns, TARGET_BYTES } from '../tile-sizes.ts';

/** Runs of whole blocks of feed-forward columns, as even as blocks allow. */
export const ffn: TileCuts<FeedForwardPhase> = {
  tiles(model, phase, layer, cols) {
    const { rows: ffDim } = phase.gate.weight;
    const unit = Math.max(BLOCK, WEIGHT_FORMATS[phase.down.tensor.type].sourceBlockValues);
    const unitBytes = tileLayout(contentOf(model, phase, unit, cols)).bytes;
    return evenRuns(Math.ceil(ffDim / unit), Math.floor(TARGET_BYTES / unitBytes)).map(([from, to], index) => {
      const first = from * unit;
      const count = Math.min(to * unit, ffDim) - first;
      return { ...{ kind: 'ffn', layer, index, first, count }, ...contentOf(model, phase, count, cols) };
    });
  },

  cuts({ gate, up, down }, { first, count }) {
    return {
      matrices: [rowsOf(gate.weight, first, count), rowsOf(up.weight, first, count), columnsOf(down, first, count)],
      vectors: [...valuesOf(gate.bias, first, count), ...valuesOf(up.bias, first, count)],
    };
  },
};

function contentOf({ dim }: ModelSpec, phase: FeedForwardPhase, count: number, cols: number): TileContent {
  const { gate, up, down } = phase;
  const width = roundUp(count, BLOCK);
  return {
    matrices: [padded(gate.weight, width, cols), padded(up.weight, width, cols), padded(down, dim, width)],
    vectors: [gate, up].flatMap(({ bias }) => (bias === null ? [] : [width])),
  };
}
