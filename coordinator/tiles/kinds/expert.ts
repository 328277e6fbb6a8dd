import { networkOf } from '../../../daemon/tile/kinds/expert.ts';
import { type TileContent, tileLayout } from '../../../daemon/tile/tile.ts';
import { BLOCK, roundUp, WEIGHT_FORMATS } from '../../../kernels/formats.ts';
import type { ExpertsPhase, ModelSpec, Network } from '../../model/spec.ts';
import { columnsOf, padded, rowsOf, type TileCuts, valuesOf } from '../tile-cuts.ts';
import { evenRuns, LEAST_TILES, TARGET_BYTES } from '../tile-sizes.ts';

/** Each network is cut into so many tiles, where blocks allow: dealt out to a few devices, it is on all of them alike, whichever rows use it. */
const LEAST_OF_NETWORK = 4;

/** Runs of whole blocks of each network's columns, counted over all networks; as many as let those that a row uses be shared. */
export const expert: TileCuts<ExpertsPhase> = {
  tiles(model, phase, layer, cols) {
    const least = Math.max(LEAST_OF_NETWORK, Math.ceil(LEAST_TILES / phase.routing.used));
    let index = 0;
    return networksOf(phase).flatMap((network, number) => {
      const columns = network.gate.weight.rows;
      const unit = Math.max(BLOCK, WEIGHT_FORMATS[network.down.tensor.type].sourceBlockValues);
      const unitBytes = tileLayout(contentOf(model, network, unit, cols)).bytes;
      return evenRuns(Math.ceil(columns / unit), Math.floor(TARGET_BYTES / unitBytes), least).map(([from, to]) => {
        const count = Math.min(to * unit, columns) - from * unit;
        const first = firstOf(phase, number) + from * unit;
        return {
          ...{ kind: 'expert' as const, layer, index: index++, first, count },
          ...contentOf(model, network, count, cols),
        };
      });
    });
  },

  cuts(phase, tile) {
    const number = networkOf({ experts: phase.experts.length, ffDim: widthOf(phase) }, tile.first);
    const { gate, up, down } = networksOf(phase)[number]!;
    const first = tile.first - firstOf(phase, number);
    const { count } = tile;
    return {
      matrices: [rowsOf(gate.weight, first, count), rowsOf(up.weight, first, count), columnsOf(down, first, count)],
      vectors: [...valuesOf(gate.bias, first, count), ...valuesOf(up.bias, first, count)],
    };
  },
};

/** Columns of each expert. */
export const widthOf = ({ experts }: ExpertsPhase): number => experts[0]!.gate.weight.rows;

const networksOf = ({ experts, shared }: ExpertsPhase): readonly Network[] =>
  shared === null ? experts : [...experts, shared];

const firstOf = (phase: ExpertsPhase, network: number): number => network * widthOf(phase);

function contentOf({ dim }: ModelSpec, { gate, up, down }: Network, count: number, cols: number): TileContent {
  const width = roundUp(count, BLOCK);
  return {
    matrices: [padded(gate.weight, width, cols), padded(up.weight, width, cols), padded(down, dim, width)],
    vectors: [gate, up].flatMap(({ bias }) => (bias === null ? [] : [width])),
  };
}
