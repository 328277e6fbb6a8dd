import { BLOCK, ROW_GROUP, sourceBytes, WEIGHT_FORMATS, type WeightFormat } from './formats.ts';
import { blockFinite, type QuantizedFormat, quantBlock } from './quant-block.ts';
import { blockOffset, writeTileBlock } from './reference-tile.ts';
import { readSourceBlock } from './source-block.ts';

/**
 * Cuts rows of a GGUF tensor into tile layout. Padding is all zero bytes.
 * @param source the rows, `sourceStride` bytes apart; each holds `cols` values (whole blocks of the format)
 * @param out matrixBytes(format, outRows, outCols) bytes; outRows a multiple of 8, outCols of the format's
 * tileBlockCols
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
  for (let row = 0; row < rows; row++) {
    const bytes = source.subarray(row * sourceStride, row * sourceStride + sourceBytes(format, cols));
    const good =
      format === 'F32' || format === 'F16' || format === 'BF16'
        ? repackFloats(format, bytes, row, out, outCols)
        : repackBlocks(format, bytes, row, out, outCols);
    if (!good) return false;
  }
  return true;
}

function repackBlocks(
  format: QuantizedFormat,
  source: Uint8Array,
  row: number,
  out: Uint8Array,
  outCols: number,
): boolean {
  const { sourceBlockBytes, tileBlockCols } = WEIGHT_FORMATS[format];
  const block = quantBlock();
  for (let i = 0; i * sourceBlockBytes < source.length; i++) {
    readSourceBlock(format, source, i * sourceBlockBytes, block);
    if (!blockFinite(format, block)) return false;
    const base = blockOffset(format, row, outCols / tileBlockCols, i);
    writeTileBlock(format, block, out, base, row % ROW_GROUP);
  }
  return true;
}

/** All exponent bits of a float's upper two bytes; set together they mean infinity or NaN. */
const EXPONENT_MASK = { F32: 0x7f80, F16: 0x7c00, BF16: 0x7f80 } as const;

function repackFloats(
  format: 'F32' | 'F16' | 'BF16',
  source: Uint8Array,
  row: number,
  out: Uint8Array,
  outCols: number,
): boolean {
  const unitBytes = WEIGHT_FORMATS[format].sourceBlockBytes;
  const mask = EXPONENT_MASK[format];
  for (let at = 0, col = 0; at < source.length; at += unitBytes, col++) {
    const upper = source[at + unitBytes - 2]! | (source[at + unitBytes - 1]! << 8);
    if ((upper & mask) === mask) return false;
    const base = blockOffset(format, row, outCols / BLOCK, Math.floor(col / BLOCK));
    const unit = base + ((col % BLOCK) * ROW_GROUP + (row % ROW_GROUP)) * unitBytes;
    for (let i = 0; i < unitBytes; i++) out[unit + i] = source[at + i]!;
  }
  return true;
}
