import {
  type ActivationFormat,
  matrixBytes,
  roundUp,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../kernels/formats.ts';

/**
 * A tile is the smallest piece of a layer that can be computed alone: the unit of splitting over devices and threads, of
 * storage, transfer, streaming and summation (docs/ARCHITECTURE.md). Its matrices, in order:
 *
 * | kind      | first, count        | matrices |
 * |-----------|---------------------|----------|
 * | attention | query heads         | Wq rows, Wo columns of those heads |
 * | kv        | one key/value head  | Wk rows, Wv rows of that head |
 * | ffn       | feed-forward columns | Wgate rows, Wup rows, Wdown columns of that run |
 * | head      | vocabulary rows     | those rows of the head |
 */
export const TILE_KINDS = ['attention', 'kv', 'ffn', 'head'] as const;
export type TileKind = (typeof TILE_KINDS)[number];

/** A weight matrix in tile layout; rows a multiple of 8 and columns a multiple of 32, padding included. */
export interface TileMatrix {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
}

export interface TileShape {
  readonly kind: TileKind;
  readonly layer: number;
  /** Position among the tiles of its kind in its layer. */
  readonly index: number;
  readonly first: number;
  readonly count: number;
  readonly matrices: readonly TileMatrix[];
}

/** Version of the tile layout; part of every tile's name, so that a store never serves another layout. */
export const TILE_VERSION = 1;

/** Matrices start at multiples of this within a tile. */
const MATRIX_ALIGNMENT = 64;

/** Byte offset of each matrix within the tile, and the tile's size. */
export function tileLayout(matrices: readonly TileMatrix[]): { offsets: number[]; bytes: number } {
  const offsets: number[] = [];
  let end = 0;
  for (const { format, rows, cols } of matrices) {
    offsets.push(end);
    end = roundUp(end + matrixBytes(format, rows, cols), MATRIX_ALIGNMENT);
  }
  return { offsets, bytes: end };
}

/** The formats in which the tile's first products take the phase's input. The last one of attention and ffn takes what those gave. */
export function inputFormats({ kind, matrices }: Pick<TileShape, 'kind' | 'matrices'>): ActivationFormat[] {
  const first = kind === 'attention' || kind === 'ffn' ? matrices.slice(0, -1) : matrices;
  return [...new Set(first.map(({ format }) => WEIGHT_FORMATS[format].activation))];
}

/** The tile's name within its model, in stores and messages: for example "v1-l007-ffn-0012". */
export function tileName({ kind, layer, index }: Pick<TileShape, 'kind' | 'layer' | 'index'>): string {
  return `v${TILE_VERSION}-l${String(layer).padStart(3, '0')}-${kind}-${String(index).padStart(4, '0')}`;
}
