import { type ArenaHandle, viewOf } from '../../kernels/arena.ts';
import { kvPageBytes, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import { MAX_ROWS, PHASE, sumLimit } from './engine-spec.ts';
import {
  type EngineLayout,
  kvKey,
  type PlacedTile,
  pageOf,
  pageTableCapacity,
  slotOf,
  type ThreadBuffers,
} from './layout.ts';
import type { RowRange } from './step.ts';

/** Waits until the key/value tile of (layer, kvHead) has been computed in the current job. */
export type AwaitKv = (layer: number, kvHead: number) => void;

/** What one thread does with a tile, for rows of the step. Every backend computes tiles through this one composition. */
export class TileComputer {
  readonly #kernels: Kernels;
  readonly #layout: EngineLayout;
  readonly #buffers: ThreadBuffers;
  readonly #positions: Uint32Array;
  readonly #tables: Uint32Array;
  readonly #pages: Uint32Array;
  readonly #innerStride: number;
  readonly #scale: number;
  readonly #handle: ArenaHandle;

  constructor(kernels: Kernels, handle: ArenaHandle, layout: EngineLayout, buffers: ThreadBuffers) {
    const words = (address: Address, count: number): Uint32Array => {
      const bytes = viewOf(handle, address, count * 4);
      return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
    };
    this.#kernels = kernels;
    this.#handle = handle;
    this.#layout = layout;
    this.#buffers = buffers;
    this.#positions = words(layout.positions, MAX_ROWS);
    this.#tables = words(layout.tables, MAX_ROWS);
    this.#pages = words(layout.pages, pageTableCapacity(layout.spec));
    this.#innerStride = layout.innerWidth * 4;
    this.#scale = Math.fround(1 / Math.sqrt(layout.spec.headDim));
  }

  /**
   * @param fresh whether the thread's sums hold nothing of the job yet
   * @returns false when a value is not finite or too large for the exact sums
   */
  compute(tile: PlacedTile, rows: RowRange, fresh: boolean, awaitKv: AwaitKv): boolean {
    switch (tile.shape.kind) {
      case 'kv':
        return this.#keyValue(tile, rows);
      case 'attention':
        return this.#attention(tile, rows, fresh, awaitKv);
      case 'ffn':
        return this.#feedForward(tile, rows, fresh);
      case 'head':
        return this.#head(tile, rows);
    }
  }

  /** out[i][outRows] = matrix of the tile × the i-th of the rows of the phase's input. */
  #fromInput(tile: PlacedTile, matrix: number, rows: RowRange, out: Address, outStride: number): void {
    const { format, rows: outRows, cols } = tile.shape.matrices[matrix]!;
    const panel = this.#layout.inputPanels[WEIGHT_FORMATS[format].activation];
    this.#kernels.matmul(format, tile.matrices[matrix]!, outRows, cols, panel, rows.count, out, outStride);
  }

  /** sums[first + i] += matrix of the tile × inner[i], as exact integers. */
  #toSums(tile: PlacedTile, matrix: number, rows: RowRange, inner: Address, phase: 0 | 1, fresh: boolean): boolean {
    const { format, rows: outRows, cols } = tile.shape.matrices[matrix]!;
    const { spec } = this.#layout;
    const { innerPanel } = this.#buffers;
    const kernels = this.#kernels;
    if (WEIGHT_FORMATS[format].activation === 'f32') {
      kernels.packPanel('f32', inner, this.#innerStride, cols, rows.count, innerPanel);
    } else if (!kernels.quantizePanel(inner, this.#innerStride, cols, rows.count, innerPanel)) return false;
    const stride = spec.cols * 8;
    const sums = this.#buffers.sums + rows.first * stride;
    if (fresh && outRows < spec.cols) this.#clear(sums, rows.count, stride, outRows * 8);
    return kernels.matmulSums(
      format,
      tile.matrices[matrix]!,
      outRows,
      cols,
      innerPanel,
      rows.count,
      sums,
      stride,
      sumLimit(spec, tile.shape.layer, phase),
      fresh,
    );
  }

  #keyValue(tile: PlacedTile, rows: RowRange): boolean {
    const { headDim, kv } = this.#layout.spec;
    const [k, v] = this.#buffers.inner;
    const cache = this.#layout.kv.get(kvKey(tile.shape.layer, tile.shape.first))!;
    const pageBytes = kvPageBytes(kv, headDim);
    this.#fromInput(tile, 0, rows, k, this.#innerStride);
    this.#fromInput(tile, 1, rows, v, this.#innerStride);
    for (let i = 0; i < rows.count; i++) {
      const row = rows.first + i;
      const position = this.#positions[row]!;
      const page = this.#pages[this.#tables[row]! + pageOf(position)]!;
      const offset = i * this.#innerStride;
      this.#kernels.rope(k + offset, 1, headDim, this.#layout.rope + row * headDim * 4);
      this.#kernels.kvStore(kv, k + offset, v + offset, headDim, cache + page * pageBytes, slotOf(position));
    }
    return true;
  }

  #attention(tile: PlacedTile, rows: RowRange, fresh: boolean, awaitKv: AwaitKv): boolean {
    const { headDim, heads, kvHeads, kv } = this.#layout.spec;
    const { layer, first, count, matrices } = tile.shape;
    const [q, attended] = this.#buffers.inner;
    const group = heads / kvHeads;
    this.#fromInput(tile, 0, rows, q, this.#innerStride);
    for (let i = 0; i < rows.count; i++) {
      const table = this.#layout.rope + (rows.first + i) * headDim * 4;
      this.#kernels.rope(q + i * this.#innerStride, count, headDim, table);
    }
    const width = matrices[0]!.rows;
    if (width > count * headDim) this.#clear(attended, rows.count, this.#innerStride, count * headDim * 4);
    for (let head = first; head < first + count; ) {
      const kvHead = Math.floor(head / group);
      const next = Math.min(first + count, (kvHead + 1) * group);
      const cache = this.#layout.kv.get(kvKey(layer, kvHead))!;
      awaitKv(layer, kvHead);
      const end = rows.first + rows.count;
      for (let row = rows.first; row < end; ) {
        const run = this.#runFrom(row, end);
        const offset = (row - rows.first) * this.#innerStride + (head - first) * headDim * 4;
        const table = this.#layout.pages + this.#tables[row]! * 4;
        this.#kernels.attend(
          kv,
          q + offset,
          this.#innerStride,
          run,
          next - head,
          headDim,
          this.#scale,
          cache,
          table,
          this.#positions[row]! + 1,
          attended + offset,
          this.#innerStride,
        );
        row += run;
      }
      head = next;
    }
    return this.#toSums(tile, 1, rows, attended, PHASE.attention, fresh);
  }

  /** How many rows from `row` on, before `limit`, are consecutive positions of one sequence: they attend together. */
  #runFrom(row: number, limit: number): number {
    let end = row + 1;
    while (
      end < limit &&
      this.#tables[end] === this.#tables[row] &&
      this.#positions[end]! - this.#positions[row]! === end - row
    ) {
      end++;
    }
    return end - row;
  }

  #feedForward(tile: PlacedTile, rows: RowRange, fresh: boolean): boolean {
    const [gate, up] = this.#buffers.inner;
    const width = tile.shape.matrices[0]!.rows;
    this.#fromInput(tile, 0, rows, gate, this.#innerStride);
    this.#fromInput(tile, 1, rows, up, this.#innerStride);
    // In the widest tiles rows lie side by side.
    const [runs, values] = width * 4 === this.#innerStride ? [1, rows.count * width] : [rows.count, width];
    for (let i = 0; i < runs; i++) {
      this.#kernels.swiglu(gate + i * this.#innerStride, up + i * this.#innerStride, values);
    }
    return this.#toSums(tile, 2, rows, gate, PHASE.ffn, fresh);
  }

  #head(tile: PlacedTile, rows: RowRange): boolean {
    const stride = roundUp(this.#layout.spec.vocabSize, 8) * 4;
    this.#fromInput(tile, 0, rows, this.#layout.logits! + tile.shape.first * 4, stride);
    return true;
  }

  /** Zeroes each row's padding, from byte `from` on: what lies between its values and the padded width. */
  #clear(rows: Address, count: number, stride: number, from: number): void {
    for (let row = 0; row < count; row++) viewOf(this.#handle, rows + row * stride + from, stride - from).fill(0);
  }
}
