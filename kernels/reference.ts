/**
 * The arithmetic of Starling in plain TypeScript: the oracle of every other backend, and the backend of last resort.
 * It follows the contract in kernels.ts line by line; f32(…) is one rounding. Sums and products of two f32 computed in
 * f64 and rounded once more are the correctly rounded f32 results (53 ≥ 2·24 + 2 bits), so Math.fround is exact IEEE.
 */
import { composeTiles } from './compose-tiles.ts';
import {
  type ActivationFormat,
  type ActivationFunction,
  activationBytes,
  BLOCK,
  KV_PAGE,
  type KvFormat,
  kvPageBytes,
  matrixBytes,
  sourceBytes,
  type WeightFormat,
} from './formats.ts';
import { bfloatToFloat, halfToFloat } from './half.ts';
import type { Address, Kernels } from './kernels.ts';
import { packedSumsLimit, packSums, unpackSums } from './packed-sums.ts';
import type { QuantizedFormat } from './quant-block.ts';
import { attendHead } from './reference-attention.ts';
import { type F16Page, f16Math, type Q8Page, q8Math, storeF16, storeQ8 } from './reference-kv.ts';
import {
  floatProduct,
  type QuantizedActivations,
  quantizedProduct,
  readFloatRow,
  readQuantizedRow,
} from './reference-matmul.ts';
import { repackRows } from './reference-repack.ts';
import { GATED_UNITS, quantizeRow, rmsnormRow, ropeHead } from './reference-rows.ts';
import { roundTiesToEven } from './scalar.ts';
import { SegmentViews } from './segment-views.ts';
import type { TileKernels } from './tile-work.ts';

const f32 = Math.fround;

/** Sums are fixed-point numbers with 24 bits after the point. */
const SUM_SCALE = 2 ** 24;

/**
 * Kernels over the segments of a SegmentArena.
 * Every method throws RangeError for a buffer that leaves its segment or is not aligned to its elements.
 */
export function createReferenceKernels(segments: readonly SharedArrayBuffer[]): Kernels {
  const views = new SegmentViews(segments);
  const kernels = new ReferenceKernels(views);
  const tiles = composeTiles(
    kernels,
    (address) => views.u32(address, 1)[0]!,
    (address, bytes) => void views.u8(address, bytes).fill(0),
  );
  return Object.assign(kernels, tiles);
}

class ReferenceKernels implements Omit<Kernels, keyof TileKernels> {
  readonly backend = 'reference';
  readonly #views: SegmentViews;
  /** The value of every f16: [65536]. */
  readonly #half = Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits));

  constructor(views: SegmentViews) {
    this.#views = views;
  }

  matmul(
    format: WeightFormat,
    weights: Address,
    outRows: number,
    cols: number,
    panel: Address,
    rows: number,
    out: Address,
    outStride: number,
  ): void {
    const y: Float32Array[] = []; // [rows][outRows]
    for (let r = 0; r < rows; r++) y.push(this.#views.f32(out + r * outStride, outRows));
    this.#multiply(format, weights, outRows, cols, panel, y);
  }

  matmulSums(
    format: WeightFormat,
    weights: Address,
    outRows: number,
    cols: number,
    panel: Address,
    rows: number,
    sums: Address,
    sumStride: number,
    limit: number,
    fresh: boolean,
    list: Address | null,
  ): boolean {
    const rowOf = list === null ? undefined : this.#views.u32(list, rows);
    const y = Array.from({ length: rows }, () => new Float32Array(outRows));
    this.#multiply(format, weights, outRows, cols, panel, y);
    let good = true;
    for (let r = 0; r < rows; r++) {
      const totals = this.#views.f64(sums + (rowOf?.[r] ?? r) * sumStride, outRows);
      for (let o = 0; o < outRows; o++) {
        const scaled = y[r]![o]! * SUM_SCALE; // exact: a power of two
        if (!(Math.abs(scaled) <= limit)) good = false;
        totals[o] = (fresh ? 0 : totals[o]!) + roundTiesToEven(scaled);
      }
    }
    return good;
  }

  packPanel(format: ActivationFormat, x: Address, xStride: number, cols: number, rows: number, out: Address): void {
    const stride = activationBytes(format, cols);
    for (let r = 0; r < rows; r++) {
      this.#views.u8(out + r * stride, stride).set(this.#views.u8(x + r * xStride, stride));
    }
  }

  gatherPanel(
    format: ActivationFormat,
    panel: Address,
    cols: number,
    rows: number,
    list: Address,
    count: number,
    out: Address,
  ): void {
    const stride = activationBytes(format, cols);
    const source = this.#views.u8(panel, rows * stride);
    for (const [i, row] of this.#views.u32(list, count).entries()) {
      this.#views.u8(out + i * stride, stride).set(source.subarray(row * stride, (row + 1) * stride));
    }
  }

  quantizePanel(x: Address, xStride: number, cols: number, rows: number, out: Address): boolean {
    return this.quantize(x, xStride, cols, rows, out, activationBytes('q8', cols));
  }

  #multiply(
    format: WeightFormat,
    weights: Address,
    outRows: number,
    cols: number,
    panel: Address,
    y: readonly Float32Array[],
  ): void {
    const rows = y.length;
    if (format === 'F32' || format === 'F16' || format === 'BF16') {
      this.#matmulFloat(
        format,
        weights,
        outRows,
        cols,
        this.#floatRows(panel, activationBytes('f32', cols), cols, rows),
        y,
      );
    } else {
      const tile = this.#views.u8(weights, matrixBytes(format, outRows, cols));
      const x = this.#quantizedRows(panel, activationBytes('q8', cols), cols, rows);
      this.#matmulQuantized(format, tile, outRows, cols, x, y);
    }
  }

  #matmulQuantized(
    format: QuantizedFormat,
    tile: Uint8Array,
    outRows: number,
    cols: number,
    x: readonly QuantizedActivations[],
    y: readonly Float32Array[],
  ): void {
    for (let o = 0; o < outRows; o++) {
      const w = readQuantizedRow(format, tile, o, cols, this.#half);
      for (let r = 0; r < x.length; r++) y[r]![o] = quantizedProduct(format, w, x[r]!);
    }
  }

  #matmulFloat(
    format: 'F32' | 'F16' | 'BF16',
    weights: Address,
    outRows: number,
    cols: number,
    x: readonly Float32Array[],
    y: readonly Float32Array[],
  ): void {
    const count = outRows * cols;
    const tile = format === 'F32' ? this.#views.f32(weights, count) : this.#views.u16(weights, count);
    const half = this.#half;
    const toFloat =
      format === 'F32'
        ? (unit: number) => unit
        : format === 'F16'
          ? (unit: number) => half[unit]!
          : (unit: number) => bfloatToFloat(unit);
    const w = new Float32Array(cols);
    for (let o = 0; o < outRows; o++) {
      readFloatRow(tile, o, toFloat, w);
      for (let r = 0; r < x.length; r++) y[r]![o] = floatProduct(w, x[r]!);
    }
  }

  quantize(x: Address, xStride: number, cols: number, rows: number, out: Address, outStride: number): boolean {
    const source = this.#floatRows(x, xStride, cols, rows);
    const target = this.#quantizedRows(out, outStride, cols, rows);
    return source.every((values, r) => quantizeRow(values, target[r]!));
  }

  rmsnorm(
    x: Address,
    xStride: number,
    weight: Address,
    dim: number,
    cols: number,
    rows: number,
    eps: number,
    out: Address,
    outStride: number,
  ): void {
    const gains = this.#views.f32(weight, cols);
    for (let r = 0; r < rows; r++) {
      rmsnormRow(this.#views.f32(x + r * xStride, cols), gains, dim, eps, this.#views.f32(out + r * outStride, cols));
    }
  }

  rope(x: Address, heads: number, headDim: number, table: Address): void {
    const values = this.#views.f32(x, heads * headDim); // [heads][headDim/2][2]
    const turns = this.#views.f32(table, headDim); // [headDim/2] (cos, sin)
    for (let head = 0; head < heads; head++) {
      ropeHead(values.subarray(head * headDim, (head + 1) * headDim), turns);
    }
  }

  glu(activation: ActivationFunction, gate: Address, up: Address, n: number): void {
    const gates = this.#views.f32(gate, n);
    const ups = this.#views.f32(up, n);
    const unit = GATED_UNITS[activation];
    for (let i = 0; i < n; i++) gates[i] = unit(gates[i]!, ups[i]!);
  }

  kvStore(format: KvFormat, k: Address, v: Address, headDim: number, page: Address, slot: number): void {
    const keys = this.#views.f32(k, headDim);
    const values = this.#views.f32(v, headDim);
    if (format === 'f16') storeF16(this.#f16Page(page, headDim), slot, keys, values);
    else storeQ8(this.#q8Page(page, headDim), slot, keys, values);
  }

  attend(
    format: KvFormat,
    q: Address,
    qStride: number,
    rows: number,
    heads: number,
    headDim: number,
    scale: number,
    kv: Address,
    pageTable: Address,
    positions: number,
    out: Address,
    outStride: number,
    window: number,
    softCap: number,
    sinks: Address | null,
  ): void {
    const table = this.#views.u32(pageTable, Math.ceil((positions + rows - 1) / KV_PAGE));
    const pageAt = (i: number): Address => kv + table[i]! * kvPageBytes(format, headDim);
    const f16PageAt = (i: number): F16Page => this.#f16Page(pageAt(i), headDim);
    const q8PageAt = (i: number): Q8Page => this.#q8Page(pageAt(i), headDim);
    const sinkOf = sinks === null ? [] : this.#views.f32(sinks, heads);
    for (let r = 0; r < rows; r++) {
      for (let head = 0; head < heads; head++) {
        const query = this.#views.f32(q + r * qStride + head * headDim * 4, headDim);
        const output = this.#views.f32(out + r * outStride + head * headDim * 4, headDim);
        const rules = { window, softCap, sink: sinkOf[head] ?? null };
        if (format === 'f16') attendHead(f16Math(query, scale, this.#half), f16PageAt, positions + r, rules, output);
        else attendHead(q8Math(query, scale, this.#half), q8PageAt, positions + r, rules, output);
      }
    }
  }

  addScaled(x: Address, y: Address, scale: number, n: number): void {
    const values = this.#views.f32(x, n);
    const added = this.#views.f32(y, n);
    for (let i = 0; i < n; i++) values[i] = f32(values[i]! + f32(f32(scale) * added[i]!));
  }

  scaleRows(x: Address, xStride: number, factors: Address, cols: number, rows: number): void {
    for (const [r, factor] of this.#views.f32(factors, rows).entries()) {
      const values = this.#views.f32(x + r * xStride, cols);
      for (let c = 0; c < cols; c++) values[c] = f32(values[c]! * factor);
    }
  }

  applyNorm(x: Address, weight: Address, factor: Address, n: number): void {
    const values = this.#views.f32(x, n);
    const weights = this.#views.f32(weight, n);
    const [by] = this.#views.f32(factor, 1);
    for (let i = 0; i < n; i++) values[i] = f32(f32(values[i]! * by!) * weights[i]!);
  }

  addSums(dst: Address, src: Address, n: number): void {
    const totals = this.#views.f64(dst, n);
    const sums = this.#views.f64(src, n);
    for (let i = 0; i < n; i++) totals[i] = totals[i]! + sums[i]!;
  }

  fromSums(sums: Address, n: number, out: Address): void {
    const totals = this.#views.f64(sums, n);
    this.#views.f32(out, n).set(totals.map((total) => total / SUM_SCALE));
  }

  residual(x: Address, sums: Address, n: number): void {
    const values = this.#views.f32(x, n);
    const totals = this.#views.f64(sums, n);
    for (let i = 0; i < n; i++) values[i] = f32(values[i]! + totals[i]! / SUM_SCALE);
  }

  packSums(sums: Address, n: number, out: Address): number {
    return packSums(this.#views.f64(sums, n), this.#views.u8(out, packedSumsLimit(n)));
  }

  unpackSums(packed: Address, length: number, n: number, sums: Address): boolean {
    return unpackSums(this.#views.u8(packed, length), this.#views.f64(sums, n));
  }

  repack(
    format: WeightFormat,
    source: Address,
    sourceStride: number,
    rows: number,
    cols: number,
    out: Address,
    outRows: number,
    outCols: number,
  ): boolean {
    const sourceLength = rows === 0 ? 0 : (rows - 1) * sourceStride + sourceBytes(format, cols);
    const bytes = this.#views.u8(source, sourceLength);
    const tile = this.#views.u8(out, matrixBytes(format, outRows, outCols));
    return repackRows(format, bytes, sourceStride, rows, cols, tile, outCols);
  }

  /** [rows][cols] f32 */
  #floatRows(x: Address, stride: number, cols: number, rows: number): Float32Array[] {
    return Array.from({ length: rows }, (_, r) => this.#views.f32(x + r * stride, cols));
  }

  /** [rows] q8: cols × int8, cols/32 × f32, cols/32 × 2 × int16 */
  #quantizedRows(x: Address, stride: number, cols: number, rows: number): QuantizedActivations[] {
    const blocks = cols / BLOCK;
    return Array.from({ length: rows }, (_, r) => {
      const row = x + r * stride;
      return {
        quants: this.#views.i8(row, cols),
        scales: this.#views.f32(row + cols, blocks),
        sums: this.#views.i16(row + cols + 4 * blocks, 2 * blocks),
      };
    });
  }

  #f16Page(page: Address, headDim: number): F16Page {
    const count = headDim * KV_PAGE;
    return { keys: this.#views.u16(page, count), values: this.#views.u16(page + 2 * count, count) };
  }

  #q8Page(page: Address, headDim: number): Q8Page {
    const count = headDim * KV_PAGE;
    const keyScales = Math.ceil(headDim / BLOCK) * KV_PAGE;
    return {
      keys: this.#views.i8(page, count),
      values: this.#views.i8(page + count, count),
      keyScales: this.#views.u16(page + 2 * count, keyScales),
      valueScales: this.#views.u16(page + 2 * (count + keyScales), KV_PAGE),
    };
  }
}
