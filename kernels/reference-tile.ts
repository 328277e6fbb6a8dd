/** Tile layout (formats.ts), row by row: how the reference kernels read a matrix and cut one from a model file. */
import { BLOCK, ROW_GROUP, sourceBytes, WEIGHT_FORMATS, type WeightFormat } from './formats.ts';

const SCALE_BYTES = 2;
const TILE_SCALES_BYTES = ROW_GROUP * SCALE_BYTES;
/** Columns whose bytes stay together when the rows of a quantised block are interleaved. */
const RUN = 4;

/** Byte offset of block `block` of the group that holds `row`, in a matrix of `blocks` blocks a row. */
function blockOffset(format: WeightFormat, row: number, blocks: number, block: number): number {
  const group = Math.floor(row / ROW_GROUP);
  return (group * blocks + block) * WEIGHT_FORMATS[format].tileBlockBytes;
}

/** Offset within a block of byte `index` (0..31 for Q8_0, 0..15 for Q4_0) of the quantised values of row `lane`. */
function quantOffset(lane: number, index: number): number {
  const run = Math.floor(index / RUN);
  return TILE_SCALES_BYTES + (run * ROW_GROUP + lane) * RUN + (index % RUN);
}

/**
 * Reads one row of a quantised matrix.
 * @param tile the matrix in tile layout
 * @param half f16 values by their bits: [65536]
 * @param quants out: [cols] int8
 * @param scales out: [cols/32] f32
 */
export function readQuantizedRow(
  format: 'Q8_0' | 'Q4_0',
  tile: Uint8Array,
  row: number,
  half: Float32Array,
  quants: Int8Array,
  scales: Float32Array,
): void {
  const blocks = scales.length;
  const lane = row % ROW_GROUP;
  for (let block = 0; block < blocks; block++) {
    const base = blockOffset(format, row, blocks, block);
    const scaleAt = base + lane * SCALE_BYTES;
    scales[block] = half[tile[scaleAt]! | (tile[scaleAt + 1]! << 8)]!;
    const first = block * BLOCK;
    if (format === 'Q8_0') {
      for (let c = 0; c < 32; c++) quants[first + c] = tile[base + quantOffset(lane, c)]!;
    } else {
      for (let c = 0; c < 16; c++) {
        const byte = tile[base + quantOffset(lane, c)]!;
        quants[first + c] = (byte & 15) - 8;
        quants[first + 16 + c] = (byte >>> 4) - 8;
      }
    }
  }
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

/** Mask of the exponent bits of a float's upper two bytes; all set means infinity or NaN. */
const EXPONENT_MASK: Readonly<Record<WeightFormat, number>> = {
  F32: 0x7f80,
  F16: 0x7c00,
  BF16: 0x7f80,
  Q8_0: 0x7c00, // the scale is an f16
  Q4_0: 0x7c00,
};

/**
 * Cuts rows of a GGUF tensor into tile layout. Padding is all zero bytes.
 * @param source the rows, `sourceStride` bytes apart; each holds `cols` values (a multiple of 32 in a quantised format)
 * @param out matrixBytes(format, outRows, outCols) bytes; outRows a multiple of 8, outCols of 32
 * @returns false when a weight or scale is not finite; then `out` is meaningless
 */
export function repackRows(
  format: WeightFormat,
  source: Uint8Array,
  sourceStride: number,
  rows: number,
  cols: number,
  out: Uint8Array,
  outCols: number,
): boolean {
  out.fill(0);
  const { sourceBlockValues, sourceBlockBytes, activation } = WEIGHT_FORMATS[format];
  // A quantised block starts with its scale; a float is a block of its own.
  const upperBytes = activation === 'q8' ? 0 : sourceBlockBytes - 2;
  const mask = EXPONENT_MASK[format];
  const outBlocks = outCols / BLOCK;
  for (let row = 0; row < rows; row++) {
    const lane = row % ROW_GROUP;
    const end = row * sourceStride + sourceBytes(format, cols);
    let value = 0;
    for (let at = row * sourceStride; at < end; at += sourceBlockBytes, value += sourceBlockValues) {
      const upper = source[at + upperBytes]! | (source[at + upperBytes + 1]! << 8);
      if ((upper & mask) === mask) return false;
      const base = blockOffset(format, row, outBlocks, Math.floor(value / BLOCK));
      if (activation === 'q8') {
        for (let i = 0; i < SCALE_BYTES; i++) out[base + lane * SCALE_BYTES + i] = source[at + i]!;
        for (let i = 0; i < sourceBlockBytes - SCALE_BYTES; i++) {
          out[base + quantOffset(lane, i)] = source[at + SCALE_BYTES + i]!;
        }
      } else {
        const unit = base + ((value % BLOCK) * ROW_GROUP + lane) * sourceBlockBytes;
        for (let i = 0; i < sourceBlockBytes; i++) out[unit + i] = source[at + i]!;
      }
    }
  }
  return true;
}
