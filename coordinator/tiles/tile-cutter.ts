import { StarlingError } from '../../daemon/errors.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import { tileLayout, tileName } from '../../daemon/tile/tile.ts';
import type { Arena } from '../../kernels/arena.ts';
import { sourceBytes } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { GgufFile } from '../model/gguf/reader.ts';
import type { Matrix, ModelSpec } from '../model/spec.ts';
import { pairRows } from './pair-rows.ts';
import type { Cut, VectorCut } from './tile-cuts.ts';
import { cutsOf } from './tile-table.ts';

/**
 * How a matrix that is cut by columns is read: held whole for all its tiles, or read through anew for each, in bands of
 * rows.
 */
export type ColumnReading = 'whole' | 'banded';

/** Bytes of a band. */
const BAND_BYTES = 2 ** 20;

/**
 * Makes tiles from a model file. Rows are read as they are needed; a tensor that is cut by columns is held whole, one
 * at a time, and only while its tiles are cut one after the other. Banded, it is never held: slow for many tiles, and
 * little memory for one.
 */
export class TileCutter {
  readonly #gguf: GgufFile;
  readonly #model: ModelSpec;
  readonly #arena: Arena;
  readonly #kernels: Kernels;
  readonly #buffers: Readonly<Record<'rows' | 'matrix' | 'tile', Address>>;
  readonly #reading: ColumnReading;
  #held: Matrix | undefined;

  /** @param arena scratch memory of the cutter alone, grown to the largest matrix and tile among `tiles` */
  constructor(
    gguf: GgufFile,
    model: ModelSpec,
    arena: Arena,
    openKernels: (arena: Arena) => Kernels,
    tiles: readonly TileShape[],
    reading: ColumnReading = 'whole',
  ) {
    this.#reading = reading;
    this.#gguf = gguf;
    this.#model = model;
    this.#arena = arena;
    this.#buffers = this.#reserve(tiles);
    this.#kernels = openKernels(arena);
  }

  /**
   * Cuts one tile. Ask in order of layer and kind: tiles that share a column-cut tensor then read it once.
   * @returns a view of the tile's bytes, valid until the next call
   * @throws StarlingError model_truncated, model_file_unreadable; model_invalid when a weight is not finite
   */
  async cut(tile: TileShape): Promise<Uint8Array> {
    const { offsets, vectorOffsets, bytes } = tileLayout(tile);
    const out = this.#buffers.tile;
    const { matrices, vectors } = cutsOf(this.#model, tile);
    for (const [i, cut] of matrices.entries()) {
      const { format, rows: outRows, cols: outCols } = tile.matrices[i]!;
      const { address, stride } = await this.#source(cut);
      const finite = this.#kernels.repack(
        format,
        address,
        stride,
        cut.rows,
        cut.cols,
        out + offsets[i]!,
        outRows,
        outCols,
      );
      if (!finite) {
        throw notFinite(cut.matrix.tensor.name, tile);
      }
    }
    for (const [i, cut] of vectors.entries()) {
      await this.#vector(cut, this.#arena.bytes(out + vectorOffsets[i]!, tile.vectors[i]! * 4), tile);
    }
    return this.#arena.bytes(out, bytes);
  }

  /** Writes a part of a vector, and zeros after it. */
  async #vector({ of, first, length }: VectorCut, into: Uint8Array, tile: TileShape): Promise<void> {
    into.fill(0);
    const values = into.subarray(0, length * 4);
    await this.#gguf.read(of.tensor, (of.first + first) * 4, values.length, values);
    if (of.halves !== null) pairRows(values, 4, of.halves);
    const view = new DataView(values.buffer, values.byteOffset, values.length);
    for (let at = 0; at < values.length; at += 4) {
      if (!Number.isFinite(view.getFloat32(at, true))) throw notFinite(of.tensor.name, tile);
    }
  }

  /** Where a cut's rows are, as the file has them. */
  async #source(cut: Cut): Promise<{ address: Address; stride: number }> {
    const { matrix, firstRow, rows, firstCol, cols } = cut;
    const { tensor, halves } = matrix;
    const stride = sourceBytes(tensor.type, matrix.cols);
    if (cols === matrix.cols) {
      const address = this.#buffers.rows;
      const bytes = this.#arena.bytes(address, rows * stride);
      await this.#gguf.read(tensor, (matrix.firstRow + firstRow) * stride, rows * stride, bytes);
      if (halves !== null) pairRows(bytes, stride, halves);
      return { address, stride };
    }
    if (this.#reading === 'banded') return this.#columns(cut);
    const address = this.#buffers.matrix;
    if (this.#held !== matrix) {
      this.#held = undefined;
      const bytes = matrix.rows * stride;
      await this.#gguf.read(tensor, matrix.firstRow * stride, bytes, this.#arena.bytes(address, bytes));
      this.#held = matrix;
    }
    return { address: address + sourceBytes(tensor.type, firstCol), stride };
  }

  /** Reads columns of all rows, and leaves out the others. */
  async #columns({ matrix, rows, firstCol, cols }: Cut): Promise<{ address: Address; stride: number }> {
    const { tensor } = matrix;
    const rowBytes = sourceBytes(tensor.type, matrix.cols);
    const from = sourceBytes(tensor.type, firstCol);
    const stride = sourceBytes(tensor.type, cols);
    const address = this.#buffers.rows;
    const out = this.#arena.bytes(address, rows * stride);
    const most = Math.max(1, Math.floor(BAND_BYTES / rowBytes));
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const band = this.#arena.bytes(this.#buffers.matrix, count * rowBytes);
      await this.#gguf.read(tensor, (matrix.firstRow + first) * rowBytes, count * rowBytes, band);
      for (let row = 0; row < count; row++) {
        const at = row * rowBytes + from;
        out.set(band.subarray(at, at + stride), (first + row) * stride);
      }
    }
    return { address, stride };
  }

  #reserve(tiles: readonly TileShape[]): Record<'rows' | 'matrix' | 'tile', Address> {
    const most = { rows: 0, matrix: 0, tile: 0 };
    for (const tile of tiles) {
      most.tile = Math.max(most.tile, tileLayout(tile).bytes);
      for (const { matrix, rows, cols } of cutsOf(this.#model, tile).matrices) {
        const { type } = matrix.tensor;
        const rowBytes = sourceBytes(type, matrix.cols);
        const whole = cols === matrix.cols;
        if (whole || this.#reading === 'banded') most.rows = Math.max(most.rows, rows * sourceBytes(type, cols));
        if (whole) continue;
        const held = this.#reading === 'banded' ? Math.max(BAND_BYTES, rowBytes) : matrix.rows * rowBytes;
        most.matrix = Math.max(most.matrix, held);
      }
    }
    return {
      rows: this.#arena.alloc(most.rows),
      matrix: this.#arena.alloc(most.matrix),
      tile: this.#arena.alloc(most.tile),
    };
  }
}

const notFinite = (tensor: string, tile: TileShape): StarlingError =>
  new StarlingError(
    'model_invalid',
    `tensor ${tensor} holds a weight that is not finite (in ${tileName(tile)}): the model file is damaged; download it again`,
  );
