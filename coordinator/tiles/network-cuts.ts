import { type TileContent, type TileShape, tileLayout } from '../../daemon/tile/tile.ts';
import { BLOCK, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { ModelSpec, Network } from '../model/spec.ts';
import { type Cuts, columnsOf, padded, rowsOf, valuesOf } from './tile-cuts.ts';
import { evenRuns, TARGET_BYTES } from './tile-sizes.ts';

/** Some columns of a gated network, and what a tile of them holds. */
export type NetworkRun = Pick<TileShape, 'first' | 'count'> & TileContent;

/**
 * Runs of whole blocks of a network's columns, as even as blocks allow.
 * @param cols width of the residual stream, padded
 * @param least see evenRuns
 */
export function networkRuns(model: ModelSpec, network: Network, cols: number, least?: number): NetworkRun[] {
  const { rows: columns } = network.gate.weight;
  const unit = Math.max(BLOCK, WEIGHT_FORMATS[network.down.tensor.type].sourceBlockValues);
  const unitBytes = tileLayout(contentOf(model, network, unit, cols)).bytes;
  return evenRuns(Math.ceil(columns / unit), Math.floor(TARGET_BYTES / unitBytes), least).map(([from, to]) => {
    const first = from * unit;
    const count = Math.min(to * unit, columns) - first;
    return { first, count, ...contentOf(model, network, count, cols) };
  });
}

/** What a tile of `count` columns from `first` on is made of. */
export const networkCuts = ({ gate, up, down }: Network, first: number, count: number): Cuts => ({
  matrices: [rowsOf(gate.weight, first, count), rowsOf(up.weight, first, count), columnsOf(down, first, count)],
  vectors: [...valuesOf(gate.bias, first, count), ...valuesOf(up.bias, first, count)],
});

function contentOf({ dim }: ModelSpec, { gate, up, down }: Network, count: number, cols: number): TileContent {
  const width = roundUp(count, BLOCK);
  return {
    matrices: [padded(gate.weight, width, cols), padded(up.weight, width, cols), padded(down, dim, width)],
    vectors: [gate, up].flatMap(({ bias }) => (bias === null ? [] : [width])),
  };
}
