/** Blocks of a matrix in tile layout (formats.ts), one row at a time. */
import { ROW_GROUP, WEIGHT_FORMATS, type WeightFormat } from './formats.ts';
import { QUANT_FORMATS, type QuantBlock, type QuantizedFormat } from './quant-block.ts';

/** Byte offset of block `block` of the group of 8 rows that holds `row`, in a matrix of `blocks` blocks a row. */
export function blockOffset(format: WeightFormat, row: number, blocks: number, block: number): number {
  const group = Math.floor(row / ROW_GROUP);
  return (group * blocks + block) * WEIGHT_FORMATS[format].tileBlockBytes;
}

/** A part of a block that holds some bits of each code of 32 columns, in runs of 8 rows × 4 bytes. */
interface CodePart {
  readonly bytes: number;
  readonly bits: number;
  /** Which run holds column c, and from which bit of the byte on. The byte within the row's four is c mod 4. */
  run(c: number): number;
  shift(c: number): number;
}

const BYTES: CodePart = { bytes: 256, bits: 8, run: (c) => c >> 2, shift: () => 0 };
const NIBBLES: CodePart = { bytes: 128, bits: 4, run: (c) => (c & 15) >> 2, shift: (c) => (c < 16 ? 0 : 4) };
const PAIRS: CodePart = { bytes: 64, bits: 2, run: (c) => c >> 4, shift: (c) => 2 * ((c & 15) >> 2) };
const BITS: CodePart = { bytes: 32, bits: 1, run: () => 0, shift: (c) => c >> 2 };

interface TileLayout {
  /** How the integer scales and minima of the runs are stored: one byte of both, bytes of each, or scales alone. */
  readonly runs: 'none' | 'nibbles' | 'bytes and bytes' | 'int8';
  /** What is stored for each 32 columns, in order, and from which bit of the code on. */
  readonly codes: readonly { readonly part: CodePart; readonly shift: number }[];
}

const layout = (runs: TileLayout['runs'], ...codes: readonly (readonly [CodePart, number])[]): TileLayout => ({
  runs,
  codes: codes.map(([part, shift]) => ({ part, shift })),
});

const TILE_LAYOUTS: Readonly<Record<QuantizedFormat, TileLayout>> = {
  Q8_0: layout('none', [BYTES, 0]),
  Q4_0: layout('none', [NIBBLES, 0]),
  Q4_1: layout('none', [NIBBLES, 0]),
  Q5_0: layout('none', [BITS, 4], [NIBBLES, 0]),
  Q5_1: layout('none', [BITS, 4], [NIBBLES, 0]),
  IQ4_NL: layout('none', [NIBBLES, 0]),
  MXFP4: layout('none', [NIBBLES, 0]),
  Q2_K: layout('nibbles', [PAIRS, 0]),
  Q3_K: layout('int8', [PAIRS, 0], [BITS, 2]),
  Q4_K: layout('bytes and bytes', [NIBBLES, 0]),
  Q5_K: layout('bytes and bytes', [BITS, 4], [NIBBLES, 0]),
  Q6_K: layout('int8', [NIBBLES, 0], [PAIRS, 4]),
  IQ4_XS: layout('int8', [NIBBLES, 0]),
};

/** Where the parts of a block start, relative to the block. */
interface Places {
  readonly m: number;
  readonly scales: number;
  readonly mins: number;
  readonly codes: number;
}

function placesOf(format: QuantizedFormat): Places {
  const { exponent, offset, run } = QUANT_FORMATS[format];
  const { runs } = TILE_LAYOUTS[format];
  const half = 2 * ROW_GROUP;
  const m = exponent ? ROW_GROUP : half;
  const scales = m + (offset === 'none' ? 0 : half);
  const runBytes = (WEIGHT_FORMATS[format].tileBlockCols / run) * ROW_GROUP;
  const mins = scales + (runs === 'none' || runs === 'nibbles' ? 0 : runBytes);
  const codes = runs === 'int8' ? mins : mins + (runs === 'none' ? 0 : runBytes);
  return { m, scales, mins, codes };
}

/**
 * Reads the block of row `lane` (0..7) that starts at `base`. See readSourceBlock about formats without integer scales.
 */
export function readTileBlock(
  format: QuantizedFormat,
  tile: Uint8Array,
  base: number,
  lane: number,
  into: QuantBlock,
): void {
  const { exponent, offset, run } = QUANT_FORMATS[format];
  const { runs, codes: parts } = TILE_LAYOUTS[format];
  const places = placesOf(format);
  const cols = WEIGHT_FORMATS[format].tileBlockCols;
  const half = (at: number): number => tile[base + at + 2 * lane]! | (tile[base + at + 2 * lane + 1]! << 8);
  into.d = exponent ? tile[base + lane]! : half(0);
  into.m = offset === 'none' ? 0 : half(places.m);
  for (let j = 0; runs !== 'none' && j < cols / run; j++) {
    const scale = tile[base + places.scales + j * ROW_GROUP + lane]!;
    const min = tile[base + places.mins + j * ROW_GROUP + lane]!;
    into.scales[j] = runs === 'int8' ? (scale << 24) >> 24 : runs === 'nibbles' ? scale & 15 : scale;
    if (runs !== 'int8') into.mins[j] = runs === 'nibbles' ? scale >> 4 : min;
  }
  into.codes.fill(0);
  let at = base + places.codes;
  for (let first = 0; first < cols; first += 32) {
    for (const { part, shift } of parts) {
      const mask = (1 << part.bits) - 1;
      for (let c = 0; c < 32; c++) {
        const byte = tile[at + part.run(c) * 32 + lane * 4 + (c & 3)]!;
        into.codes[first + c] = into.codes[first + c]! | (((byte >> part.shift(c)) & mask) << shift);
      }
      at += part.bytes;
    }
  }
}

/** Writes a block of row `lane` into a tile whose block at `base` holds zeros there. */
export function writeTileBlock(
  format: QuantizedFormat,
  block: QuantBlock,
  tile: Uint8Array,
  base: number,
  lane: number,
): void {
  const { exponent, offset, run } = QUANT_FORMATS[format];
  const { runs, codes: parts } = TILE_LAYOUTS[format];
  const places = placesOf(format);
  const cols = WEIGHT_FORMATS[format].tileBlockCols;
  const writeHalf = (at: number, bits: number): void => {
    tile[base + at + 2 * lane] = bits;
    tile[base + at + 2 * lane + 1] = bits >> 8;
  };
  if (exponent) tile[base + lane] = block.d;
  else writeHalf(0, block.d);
  if (offset !== 'none') writeHalf(places.m, block.m);
  for (let j = 0; runs !== 'none' && j < cols / run; j++) {
    const [scale, min] = [block.scales[j]!, block.mins[j]!];
    tile[base + places.scales + j * ROW_GROUP + lane] = runs === 'nibbles' ? scale | (min << 4) : scale;
    if (runs === 'bytes and bytes') tile[base + places.mins + j * ROW_GROUP + lane] = min;
  }
  let at = base + places.codes;
  for (let first = 0; first < cols; first += 32) {
    for (const { part, shift } of parts) {
      const mask = (1 << part.bits) - 1;
      for (let c = 0; c < 32; c++) {
        const place = at + part.run(c) * 32 + lane * 4 + (c & 3);
        tile[place] = tile[place]! | (((block.codes[first + c]! >> shift) & mask) << part.shift(c));
      }
      at += part.bytes;
    }
  }
}
