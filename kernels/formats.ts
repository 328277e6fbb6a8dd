/**
 * Weight formats and their layout inside a tile.
 *
 * A weight matrix of a tile is cut into blocks of 8 rows × 32 columns, or 8 × 256 for formats with super-blocks. Blocks are
 * stored row group by row group, and within a group of 8 rows in column order, so a matrix × vector product reads the tile
 * once, front to back. Within a block the 8 rows are interleaved, so that one SIMD load feeds 8 lanes (one lane a row).
 * A block is made of these parts, each for 32 columns c and 8 rows r, with i = 0..3:
 *
 * | part | bytes | content |
 * |---|---|---|
 * | halves  |  16 | per row: f16 |
 * | bytes   | 256 | for j = 0..7, per row, per i: int8 of column 4j+i |
 * | nibbles | 128 | for k = 0..3, per row, per i: low nibble of column 4k+i, high nibble of column 16+4k+i |
 * | pairs   |  64 | for v = 0..1, per row, per i: bits 2j..2j+1 (j = 0..3) of column 16v+4j+i |
 * | bits    |  32 | per row, per i: bit j (j = 0..7) of column 4j+i |
 *
 * | format | columns | bytes | parts in order, and what a weight is |
 * |---|---|---|---|
 * | F32    |  32 | 1024 | for each column, per row: f32 |
 * | F16    |  32 |  512 | for each column, per row: f16 |
 * | BF16   |  32 |  512 | for each column, per row: bf16 |
 * | Q8_0   |  32 |  272 | halves d, bytes q: d·q |
 * | Q4_0   |  32 |  144 | halves d, nibbles n: d·(n − 8) |
 * | Q4_1   |  32 |  160 | halves d, halves m, nibbles n: d·n + m |
 * | Q5_0   |  32 |  176 | halves d, bits h, nibbles n: d·(n + 16h − 16) |
 * | Q5_1   |  32 |  192 | halves d, halves m, bits h, nibbles n: d·(n + 16h) + m |
 * | IQ4_NL |  32 |  144 | halves d, nibbles n: d·IQ4_VALUES[n] |
 * | MXFP4  |  32 |  136 | per row a byte e, nibbles n: 2^(e − 128)·MXFP4_VALUES[n] |
 * | Q2_K   | 256 |  672 | halves d, halves dmin; for 16 runs of 16 columns, per row: byte, low nibble s, high nibble m; 8 × pairs q: d·s·q − dmin·m |
 * | Q3_K   | 256 |  912 | halves d; for 16 runs of 16 columns, per row: int8 s; 8 × (pairs p, bits h): d·s·(p + 4h − 4) |
 * | Q4_K   | 256 | 1184 | halves d, halves dmin; for 8 runs of 32 columns, per row: byte s; the same for bytes m; 8 × nibbles n: d·s·n − dmin·m |
 * | Q5_K   | 256 | 1440 | as Q4_K, but 8 × (bits h, nibbles n): d·s·(n + 16h) − dmin·m |
 * | Q6_K   | 256 | 1680 | halves d; for 16 runs of 16 columns, per row: int8 s; 8 × (nibbles n, pairs p): d·s·(n + 16p − 32) |
 * | IQ4_XS | 256 | 1104 | halves d; for 8 runs of 32 columns, per row: int8 s; 8 × nibbles n: d·s·IQ4_VALUES[n] |
 *
 * Rows are padded to a multiple of 8 and columns to a multiple of the block's, with bytes of zero. That weighs nothing
 * where the scale is zero; a padded MXFP4 nibble 0 is the value 0.
 */
export const WEIGHT_FORMATS = {
  F32: { id: 0, activation: 'f32', sourceBlockValues: 1, sourceBlockBytes: 4, tileBlockCols: 32, tileBlockBytes: 1024 },
  F16: { id: 1, activation: 'f32', sourceBlockValues: 1, sourceBlockBytes: 2, tileBlockCols: 32, tileBlockBytes: 512 },
  BF16: {
    id: 30,
    activation: 'f32',
    sourceBlockValues: 1,
    sourceBlockBytes: 2,
    tileBlockCols: 32,
    tileBlockBytes: 512,
  },
  Q4_0: {
    id: 2,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 18,
    tileBlockCols: 32,
    tileBlockBytes: 144,
  },
  Q4_1: {
    id: 3,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 20,
    tileBlockCols: 32,
    tileBlockBytes: 160,
  },
  Q5_0: {
    id: 6,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 22,
    tileBlockCols: 32,
    tileBlockBytes: 176,
  },
  Q5_1: {
    id: 7,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 24,
    tileBlockCols: 32,
    tileBlockBytes: 192,
  },
  Q8_0: {
    id: 8,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 34,
    tileBlockCols: 32,
    tileBlockBytes: 272,
  },
  IQ4_NL: {
    id: 20,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 18,
    tileBlockCols: 32,
    tileBlockBytes: 144,
  },
  MXFP4: {
    id: 39,
    activation: 'q8',
    sourceBlockValues: 32,
    sourceBlockBytes: 17,
    tileBlockCols: 32,
    tileBlockBytes: 136,
  },
  Q2_K: {
    id: 10,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 84,
    tileBlockCols: 256,
    tileBlockBytes: 672,
  },
  Q3_K: {
    id: 11,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 110,
    tileBlockCols: 256,
    tileBlockBytes: 912,
  },
  Q4_K: {
    id: 12,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 144,
    tileBlockCols: 256,
    tileBlockBytes: 1184,
  },
  Q5_K: {
    id: 13,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 176,
    tileBlockCols: 256,
    tileBlockBytes: 1440,
  },
  Q6_K: {
    id: 14,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 210,
    tileBlockCols: 256,
    tileBlockBytes: 1680,
  },
  IQ4_XS: {
    id: 23,
    activation: 'q8',
    sourceBlockValues: 256,
    sourceBlockBytes: 136,
    tileBlockCols: 256,
    tileBlockBytes: 1104,
  },
} as const satisfies Readonly<Record<string, FormatInfo>>;

export type WeightFormat = keyof typeof WEIGHT_FORMATS;

/** What a gated linear unit does to its gate (Kernels.glu); numbers of kernel calls. */
export const ACTIVATION_FUNCTIONS = { silu: { id: 0 }, gelu: { id: 1 }, clamped: { id: 2 } } as const;

export type ActivationFunction = keyof typeof ACTIVATION_FUNCTIONS;

export const ACTIVATION_FUNCTION_NAMES = Object.keys(ACTIVATION_FUNCTIONS) as [
  ActivationFunction,
  ...ActivationFunction[],
];

/** The form in which a matrix product takes its activations. */
export const ACTIVATION_FORMATS = { f32: { id: 0 }, q8: { id: 1 } } as const;

export type ActivationFormat = keyof typeof ACTIVATION_FORMATS;

export interface FormatInfo {
  /** The number of this type in GGUF files; also its number in kernel calls. */
  readonly id: number;
  readonly activation: ActivationFormat;
  /** In a GGUF row: values and bytes of one block. */
  readonly sourceBlockValues: number;
  readonly sourceBlockBytes: number;
  /** In a tile: columns and bytes of a block of 8 rows. */
  readonly tileBlockCols: number;
  readonly tileBlockBytes: number;
}

/** The sixteen values of IQ4_NL and IQ4_XS (ggml: kvalues_iq4nl). */
export const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;
/** The sixteen values of MXFP4, doubled (OCP Microscaling Formats 1.0, E2M1; ggml: kvalues_mxfp4). */
export const MXFP4_VALUES = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] as const;

/** Rows that are interleaved in a tile: one SIMD lane each. */
export const ROW_GROUP = 8;
/** Columns of a block of quantised activations; the padded width of every matrix is a multiple of it. */
export const BLOCK = 32;
/** Positions of a KV page; also the fixed segment over which attention runs before it merges. */
export const KV_PAGE = 64;

export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

export function isWeightFormat(name: string): name is WeightFormat {
  return Object.hasOwn(WEIGHT_FORMATS, name);
}

/** Bytes of a weight matrix of `rows` × `cols` in tile layout, padding included. */
export function matrixBytes(format: WeightFormat, rows: number, cols: number): number {
  const { tileBlockCols, tileBlockBytes } = WEIGHT_FORMATS[format];
  return Math.ceil(rows / ROW_GROUP) * Math.ceil(cols / tileBlockCols) * tileBlockBytes;
}

/** Bytes of `cols` values of one row in the GGUF file. */
export function sourceBytes(format: WeightFormat, cols: number): number {
  const { sourceBlockValues, sourceBlockBytes } = WEIGHT_FORMATS[format];
  return (cols / sourceBlockValues) * sourceBlockBytes;
}

/**
 * Bytes of one row of activations, `cols` a multiple of 32.
 * f32: cols × f32. q8: cols × int8, then cols/32 × f32 scale, then cols/32 × two int16, the sums of the block's first and
 * last 16 int8; padded to a multiple of 16 so that rows may follow each other in memory and on the wire.
 */
export function activationBytes(format: ActivationFormat, cols: number): number {
  return format === 'f32' ? cols * 4 : roundUp(cols + (cols / BLOCK) * 8, 16);
}

/** Bytes of a block of 32 activations of one row in a q8 panel (kernels/c/panel.h: q8_block). */
const PANEL_BLOCK_BYTES = 56;

/** Bytes of a panel: `rows` rows of activations as products take them (Kernels.packPanel); `cols` a multiple of 32. */
export function panelBytes(format: ActivationFormat, cols: number, rows: number): number {
  return format === 'f32' ? activationBytes('f32', cols) * rows : (cols / BLOCK) * PANEL_BLOCK_BYTES * rows;
}

/**
 * Formats of the KV cache, and how a page of one key/value head holds K and V of KV_PAGE positions p with headDim values d:
 *
 * | format | parts in order |
 * |---|---|
 * | f16 | K as [headDim][KV_PAGE] f16; V as [KV_PAGE][headDim] f16 |
 * | q8  | K: for each eight positions, for each pair of dimensions 2i, 2i + 1, per position: two int8; V: for each eight dimensions, for each pair of positions 2i, 2i + 1, per dimension: two int8; K's scales as [⌈headDim/32⌉][KV_PAGE] f16, one for each run of 32 dimensions; V's scales as [KV_PAGE] f16 |
 *
 * In q8 a value is scale · int8. A position has bytes of its own: storing it reads and changes nothing of another.
 */
export const KV_FORMATS = {
  f16: { id: 1 },
  q8: { id: 8 },
} as const;

export type KvFormat = keyof typeof KV_FORMATS;

export const KV_FORMAT_NAMES = Object.keys(KV_FORMATS) as [KvFormat, ...KvFormat[]];

/** Bytes of one KV page of one key/value head. */
export function kvPageBytes(format: KvFormat, headDim: number): number {
  if (format === 'f16') return KV_PAGE * headDim * 2 * 2;
  return KV_PAGE * (2 * headDim + 2 * (Math.ceil(headDim / BLOCK) + 1));
}
