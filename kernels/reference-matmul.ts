/** One output of a matrix product: a row of the matrix times a row of activations, by the contract in kernels.ts. */
import { BLOCK, ROW_GROUP, WEIGHT_FORMATS } from './formats.ts';
import { exponentScale, QUANT_FORMATS, type QuantFormat, type QuantizedFormat, quantBlock } from './quant-block.ts';
import { blockOffset, readTileBlock } from './reference-tile.ts';
import { tree } from './scalar.ts';

const f32 = Math.fround;

/** Lanes of the strided accumulators over columns. */
const LANES = 8;
const SUPER_BLOCK = 256;
const HALF = BLOCK / 2;

/** One row of q8 activations. */
export interface QuantizedActivations {
  /** [cols] */
  readonly quants: Int8Array;
  /** [cols/32] */
  readonly scales: Float32Array;
  /** [cols/32][2]: the sums of a block's first and last 16 quants */
  readonly sums: Int16Array;
}

/** One row of a quantised matrix. */
export interface QuantizedWeights {
  /** [cols] integers without scale */
  readonly weights: Int8Array;
  /** [cols / columns of a block] */
  readonly d: Float32Array;
  readonly m: Float32Array;
  /** [cols/16], also where a run has 32 columns; 1 and 0 in formats without */
  readonly scales: Int16Array;
  readonly mins: Int16Array;
}

/**
 * Reads one row of a quantised matrix.
 * @param tile the matrix in tile layout
 * @param half f16 values by their bits: [65536]
 */
export function readQuantizedRow(
  format: QuantizedFormat,
  tile: Uint8Array,
  row: number,
  cols: number,
  half: Float32Array,
): QuantizedWeights {
  const { exponent, run, weights } = QUANT_FORMATS[format];
  const blockCols = WEIGHT_FORMATS[format].tileBlockCols;
  const blocks = cols / blockCols;
  const into: QuantizedWeights = {
    weights: new Int8Array(cols),
    d: new Float32Array(blocks),
    m: new Float32Array(blocks),
    scales: new Int16Array(cols / HALF),
    mins: new Int16Array(cols / HALF),
  };
  const block = quantBlock();
  for (let b = 0; b < blocks; b++) {
    readTileBlock(format, tile, blockOffset(format, row, blocks, b), row % ROW_GROUP, block);
    into.d[b] = exponent ? exponentScale(block.d) : half[block.d]!;
    into.m[b] = half[block.m]!;
    for (let c = 0; c < blockCols; c++) into.weights[b * blockCols + c] = weights[block.codes[c]!]!;
    for (let c = 0; c < blockCols; c += HALF) {
      into.scales[(b * blockCols + c) / HALF] = block.scales[Math.floor(c / run)]!;
      into.mins[(b * blockCols + c) / HALF] = block.mins[Math.floor(c / run)]!;
    }
  }
  return into;
}

/** The product of a row of a quantised matrix and a row of activations. */
export function quantizedProduct(format: QuantizedFormat, w: QuantizedWeights, x: QuantizedActivations): number {
  const { tileBlockCols } = WEIGHT_FORMATS[format];
  return tileBlockCols === BLOCK
    ? blockProduct(QUANT_FORMATS[format], w, x)
    : superProduct(QUANT_FORMATS[format], w, x);
}

/** The exact sum of 16 products of integers. */
function halfDot(w: Int8Array, x: Int8Array, first: number): number {
  let dot = 0;
  for (let c = first; c < first + HALF; c++) dot += w[c]! * x[c]!;
  return dot;
}

/** Formats with blocks of 32. */
function blockProduct({ offset }: QuantFormat, w: QuantizedWeights, x: QuantizedActivations): number {
  let acc = 0;
  for (let b = 0; b < w.d.length; b++) {
    const xd = x.scales[b]!;
    const dot = halfDot(w.weights, x.quants, b * BLOCK) + halfDot(w.weights, x.quants, b * BLOCK + HALF);
    acc = f32(acc + f32(f32(dot) * f32(w.d[b]! * xd)));
    if (offset === 'm') {
      const s = x.sums[2 * b]! + x.sums[2 * b + 1]!;
      acc = f32(acc + f32(w.m[b]! * f32(xd * f32(s))));
    }
  }
  return acc;
}

/** Formats with super-blocks of 256. Where a run is 32 columns, its scale stands twice: sc·dot0 + sc·dot1 = sc·dot. */
function superProduct({ offset, run }: QuantFormat, w: QuantizedWeights, x: QuantizedActivations): number {
  let acc = 0;
  for (let b = 0; b < w.d.length; b++) {
    let t = 0;
    let u = 0;
    for (let block = b * (SUPER_BLOCK / BLOCK); block < (b + 1) * (SUPER_BLOCK / BLOCK); block++) {
      const xd = x.scales[block]!;
      const [s0, s1] = [x.sums[2 * block]!, x.sums[2 * block + 1]!];
      const [m0, m1] = [w.mins[2 * block]!, w.mins[2 * block + 1]!];
      const dot0 = halfDot(w.weights, x.quants, block * BLOCK);
      const dot1 = halfDot(w.weights, x.quants, block * BLOCK + HALF);
      t = f32(t + f32(f32(w.scales[2 * block]! * dot0 + w.scales[2 * block + 1]! * dot1) * xd));
      if (offset === 'dmin') {
        u = f32(u + (run === 32 ? f32(m0 * f32(xd * f32(s0 + s1))) : f32(f32(m0 * s0 + m1 * s1) * xd)));
      }
    }
    acc = f32(acc + (offset === 'dmin' ? f32(f32(w.d[b]! * t) - f32(w.m[b]! * u)) : f32(w.d[b]! * t)));
  }
  return acc;
}

/**
 * Reads one row of a float matrix.
 * @param tile the matrix in tile layout, as units of 4 bytes (F32) or 2 bytes (F16, BF16)
 * @param toFloat the value of a unit
 * @param values out: [cols] f32
 */
export function readFloatRow(
  tile: Float32Array | Uint16Array,
  row: number,
  toFloat: (unit: number) => number,
  values: Float32Array,
): void {
  const cols = values.length;
  const group = Math.floor(row / ROW_GROUP);
  const lane = row % ROW_GROUP;
  // Blocks follow each other in column order, so in a float format all columns of a group do.
  for (let c = 0; c < cols; c++) values[c] = toFloat(tile[(group * cols + c) * ROW_GROUP + lane]!);
}

/** The product of a row of a float matrix and a row of activations, [cols] each. */
export function floatProduct(w: Float32Array, x: Float32Array): number {
  const a = new Float32Array(LANES);
  for (let c = 0; c < w.length; c++) a[c % LANES] = f32(a[c % LANES]! + f32(w[c]! * x[c]!));
  return tree(a);
}
