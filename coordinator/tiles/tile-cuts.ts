import type { TileMatrix, TileShape } from '../../daemon/tile/tile.ts';
import { BLOCK, ROW_GROUP, roundUp } from '../../kernels/formats.ts';
import type { Matrix, ModelSpec } from '../model/spec.ts';

/** Which part of which matrix of the model a matrix of a tile is cut from. */
export interface Cut {
  readonly matrix: Matrix;
  /** Among those of the matrix. */
  readonly firstRow: number;
  readonly rows: number;
  readonly firstCol: number;
  readonly cols: number;
}

/** How a kind of tile is cut; a file each in kinds/, as for its rules in daemon/tile/kinds/. */
export interface TileCuts<Of> {
  /** All tiles of the kind in a phase. @param cols width of the residual stream, padded */
  tiles(model: ModelSpec, phase: Of, layer: number, cols: number): TileShape[];
  /** In the order of the tile's matrices. */
  cuts(phase: Of, tile: TileShape): Cut[];
}

/** Rows of a matrix, with all their columns. */
export const rowsOf = (matrix: Matrix, firstRow: number, rows: number): Cut => ({
  ...{ matrix, firstRow, rows },
  firstCol: 0,
  cols: matrix.cols,
});

/** Columns of a matrix, in all its rows. */
export const columnsOf = (matrix: Matrix, firstCol: number, cols: number): Cut => ({
  ...{ matrix, firstCol, cols },
  firstRow: 0,
  rows: matrix.rows,
});

/** A matrix of a tile, padded. */
export const padded = ({ tensor }: Matrix, rows: number, cols: number): TileMatrix => ({
  format: tensor.type,
  rows: roundUp(rows, ROW_GROUP),
  cols: roundUp(cols, BLOCK),
});
