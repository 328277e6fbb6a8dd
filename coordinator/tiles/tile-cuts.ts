import type { TileMatrix, TileShape } from '../../daemon/tile/tile.ts';
import { BLOCK, ROW_GROUP, roundUp } from '../../kernels/formats.ts';
import type { Matrix, ModelSpec, Vector } from '../model/spec.ts';

/** Which part of which matrix of the model a matrix of a tile is cut from. */
export interface Cut {
  readonly matrix: Matrix;
  /** Among those of the matrix. */
  readonly firstRow: number;
  readonly rows: number;
  readonly firstCol: number;
  readonly cols: number;
}

/** Values of a vector, from `first` on; zeros beyond them fill what the tile has of it. */
export interface VectorCut {
  readonly of: Vector;
  readonly first: number;
  readonly length: number;
}

/** What a tile is made of, in the order of its matrices and vectors. */
export interface Cuts {
  readonly matrices: readonly Cut[];
  readonly vectors: readonly VectorCut[];
}

/** How a kind of tile is cut; a file each in kinds/, as for its rules in daemon/tile/kinds/. */
export interface TileCuts<Of> {
  /** All tiles of the kind in a phase. @param cols width of the residual stream, padded */
  tiles(model: ModelSpec, phase: Of, layer: number, cols: number): TileShape[];
  cuts(phase: Of, tile: TileShape): Cuts;
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

/** Values of a vector that a model may not have. */
export const valuesOf = (of: Vector | null, first: number, length: number): VectorCut[] =>
  of === null ? [] : [{ of, first, length }];

/** A matrix of a tile, padded. */
export const padded = ({ tensor }: Matrix, rows: number, cols: number): TileMatrix => ({
  format: tensor.type,
  rows: roundUp(rows, ROW_GROUP),
  cols: roundUp(cols, BLOCK),
});
