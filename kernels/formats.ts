/**
 * Weight formats and their layout inside a tile.
 *
 * A weight matrix of a tile is cut into blocks of 8 rows × 32 columns. Blocks are stored row group by row group, and
 * within a group of 8 rows in column order, so a matrix × vector product reads the tile once, front to back.
 * Within a block the 8 rows are interleaved, so that one SIMD load feeds 8 lanes (one lane a row):
 *
 * | format | bytes of a block | content |
 * |---|---|---|
 * | F32  | 1024 | for column c = 0..31, for row r = 0..7: f32 |
 * | F16  |  512 | for column c, for row r: f16 |
 * | BF16 |  512 | for column c, for row r: bf16 |
 * | Q8_0 |  272 | 8 × f16 scale (row r), then for quadruple j = 0..7, for row r: int8 of columns 4j..4j+3 |
 * | Q4_0 |  144 | 8 × f16 scale (row r), then for k = 0..3, for row r, for i = 0..3: a byte whose low nibble is column 4k+i and whose high nibble is column 16+4k+i; a nibble n means n − 8 |
 *
 * Rows are padded to a multiple of 8 and columns to a multiple of 32, with zero weights (scale 0).
 */
export type WeightFormat = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0';

/** The form in which a matrix product takes its activations. */
export type ActivationFormat = 'f32' | 'q8';

export interface FormatInfo {
  /** The number of this type in GGUF files; also its number in tile files and kernel calls. */
  readonly id: number;
  readonly activation: ActivationFormat;
  /** In a GGUF row: values and bytes of one block. */
  readonly sourceBlockValues: number;
  readonly sourceBlockBytes: number;
  /** In a tile: bytes of a block of 8 rows × 32 columns. */
  readonly tileBlockBytes: number;
}

export const WEIGHT_FORMATS: Readonly<Record<WeightFormat, FormatInfo>> = {
  F32: { id: 0, activation: 'f32', sourceBlockValues: 1, sourceBlockBytes: 4, tileBlockBytes: 1024 },
  F16: { id: 1, activation: 'f32', sourceBlockValues: 1, sourceBlockBytes: 2, tileBlockBytes: 512 },
  BF16: { id: 30, activation: 'f32', sourceBlockValues: 1, sourceBlockBytes: 2, tileBlockBytes: 512 },
  Q8_0: { id: 8, activation: 'q8', sourceBlockValues: 32, sourceBlockBytes: 34, tileBlockBytes: 272 },
  Q4_0: { id: 2, activation: 'q8', sourceBlockValues: 32, sourceBlockBytes: 18, tileBlockBytes: 144 },
};

/** Rows that are interleaved in a tile: one SIMD lane each. */
export const ROW_GROUP = 8;
/** Columns of a block, for weights and for quantised activations. */
export const BLOCK = 32;
/** Positions of a KV page; also the fixed segment over which attention runs before it merges. */
export const KV_PAGE = 64;

export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

export function isWeightFormat(name: string): name is WeightFormat {
  return Object.hasOwn(WEIGHT_FORMATS, name);
}

export function formatById(id: number): WeightFormat | undefined {
  for (const [name, info] of Object.entries(WEIGHT_FORMATS)) {
    if (info.id === id && isWeightFormat(name)) return name;
  }
  return undefined;
}

/** Bytes of a weight matrix of `rows` × `cols` in tile layout, padding included. */
export function matrixBytes(format: WeightFormat, rows: number, cols: number): number {
  return Math.ceil(rows / ROW_GROUP) * Math.ceil(cols / BLOCK) * WEIGHT_FORMATS[format].tileBlockBytes;
}

/** Bytes of `cols` values of one row in the GGUF file. */
export function sourceBytes(format: WeightFormat, cols: number): number {
  const { sourceBlockValues, sourceBlockBytes } = WEIGHT_FORMATS[format];
  return (cols / sourceBlockValues) * sourceBlockBytes;
}

/**
 * Bytes of one row of activations, `cols` a multiple of 32.
 * f32: cols × f32. q8: cols × int8, then cols/32 × f32 scale, then cols/32 × int16 sum of the block's int8;
 * padded to a multiple of 16 so that rows may follow each other in memory and on the wire.
 */
export function activationBytes(format: ActivationFormat, cols: number): number {
  return format === 'f32' ? cols * 4 : roundUp(cols + (cols / BLOCK) * 6, 16);
}

/** Bytes of one KV page of one key/value head: K as [headDim][KV_PAGE] f16, then V as [KV_PAGE][headDim] f16. */
export function kvPageBytes(headDim: number): number {
  return headDim * KV_PAGE * 2 * 2;
}
