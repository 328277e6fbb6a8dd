import type { TileShape } from '../../daemon/engine/tile.ts';
import { tileLayout, tileName } from '../../daemon/engine/tile.ts';
import { StarlingError } from '../../daemon/errors.ts';
import type { Arena } from '../../kernels/arena.ts';
import { sourceBytes } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import type { GgufFile } from '../model/gguf/reader.ts';
import type { ModelSpec, Weight } from '../model/spec.ts';

/** Which part of which tensor a matrix of a tile is cut from. */
interface Cut {
  readonly tensor: Weight;
  readonly firstRow: number;
  readonly rows: number;
  readonly firstCol: number;
  readonly cols: number;
}

/** The cuts of a tile, in the order of its matrices (daemon/engine/tile.ts). */
export function cutsOf(model: ModelSpec, tile: TileShape): Cut[] {
  const { first, count } = tile;
  const rows = (tensor: Weight, from: number, length: number): Cut => ({
    tensor,
    firstRow: from,
    rows: length,
    firstCol: 0,
    cols: tensor.dims[0]!,
  });
  const columns = (tensor: Weight, from: number, length: number): Cut => ({
    tensor,
    firstRow: 0,
    rows: tensor.dims[1]!,
    firstCol: from,
    cols: length,
  });
  const layer = model.layers[tile.layer]!;
  const { headDim } = model;
  switch (tile.kind) {
    case 'attention':
      return [rows(layer.q, first * headDim, count * headDim), columns(layer.o, first * headDim, count * headDim)];
    case 'kv':
      return [rows(layer.k, first * headDim, headDim), rows(layer.v, first * headDim, headDim)];
    case 'ffn':
      return [rows(layer.gate, first, count), rows(layer.up, first, count), columns(layer.down, first, count)];
    case 'head':
      return [rows(model.head, first, count)];
  }
}

/** How a tensor that is cut by columns is read: held whole for all its tiles, or read through anew for each, in bands of rows. */
export type ColumnReading = 'whole' | 'banded';

/** Bytes of a band. */
const BAND_BYTES = 2 ** 20;

/**
 * Makes tiles from a model file. Rows are read as they are needed; a tensor that is cut by columns is held whole, one at a time,
 * and only while its tiles are cut one after the other. Banded, it is never held: slow for many tiles, and little memory for one.
 */
export class TileCutter {
  readonly #gguf: GgufFile;
  readonly #model: ModelSpec;
  readonly #arena: Arena;
  readonly #kernels: Kernels;
  readonly #buffers: Readonly<Record<'rows' | 'tensor' | 'tile', Address>>;
  readonly #reading: ColumnReading;
  #held: Weight | undefined;

  /** @param arena scratch memory of the cutter alone, grown to the largest tensor and tile among `tiles` */
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
    const { offsets, bytes } = tileLayout(tile.matrices);
    const out = this.#buffers.tile;
    for (const [i, cut] of cutsOf(this.#model, tile).entries()) {
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
        throw new StarlingError(
          'model_invalid',
          `tensor ${cut.tensor.name} holds a weight that is not finite (in ${tileName(tile)}): the model file is damaged; download it again`,
        );
      }
    }
    return this.#arena.bytes(out, bytes);
  }

  async #source({ tensor, firstRow, rows, firstCol, cols }: Cut): Promise<{ address: Address; stride: number }> {
    const stride = sourceBytes(tensor.type, tensor.dims[0]!);
    if (cols === tensor.dims[0]) {
      const address = this.#buffers.rows;
      await this.#gguf.read(tensor, firstRow * stride, rows * stride, this.#arena.bytes(address, rows * stride));
      return { address, stride };
    }
    if (this.#reading === 'banded') return this.#columns({ tensor, firstRow, rows, firstCol, cols });
    const address = this.#buffers.tensor;
    if (this.#held !== tensor) {
      this.#held = undefined;
      await this.#gguf.read(tensor, 0, tensor.byteLength, this.#arena.bytes(address, tensor.byteLength));
      this.#held = tensor;
    }
    return { address: address + sourceBytes(tensor.type, firstCol), stride };
  }

  /** Reads columns of all rows, and leaves out the others. */
  async #columns({ tensor, rows, firstCol, cols }: Cut): Promise<{ address: Address; stride: number }> {
    const rowBytes = sourceBytes(tensor.type, tensor.dims[0]!);
    const from = sourceBytes(tensor.type, firstCol);
    const stride = sourceBytes(tensor.type, cols);
    const address = this.#buffers.rows;
    const out = this.#arena.bytes(address, rows * stride);
    const most = Math.max(1, Math.floor(BAND_BYTES / rowBytes));
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const band = this.#arena.bytes(this.#buffers.tensor, count * rowBytes);
      await this.#gguf.read(tensor, first * rowBytes, count * rowBytes, band);
      for (let row = 0; row < count; row++) {
        const at = row * rowBytes + from;
        out.set(band.subarray(at, at + stride), (first + row) * stride);
      }
    }
    return { address, stride };
  }

  #reserve(tiles: readonly TileShape[]): Record<'rows' | 'tensor' | 'tile', Address> {
    const most = { rows: 0, tensor: 0, tile: 0 };
    for (const tile of tiles) {
      most.tile = Math.max(most.tile, tileLayout(tile.matrices).bytes);
      for (const { tensor, rows, cols } of cutsOf(this.#model, tile)) {
        const whole = cols === tensor.dims[0];
        if (whole || this.#reading === 'banded') most.rows = Math.max(most.rows, rows * sourceBytes(tensor.type, cols));
        if (whole) continue;
        if (this.#reading === 'banded')
          most.tensor = Math.max(most.tensor, BAND_BYTES, sourceBytes(tensor.type, tensor.dims[0]!));
        else most.tensor = Math.max(most.tensor, tensor.byteLength);
      }
    }
    return {
      rows: this.#arena.alloc(most.rows),
      tensor: this.#arena.alloc(most.tensor),
      tile: this.#arena.alloc(most.tile),
    };
  }
}
