import {
  type ActivationFormat,
  matrixBytes,
  roundUp,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../kernels/formats.ts';

/**
 * A tile is the smallest piece of a layer that can be computed alone: the unit of splitting over devices and threads,
 * of storage, transfer, streaming and summation (docs/ARCHITECTURE.md). What a kind holds is said in its file in
 * kinds/; the order here is that in which a phase's kinds are computed.
 */
export const TILE_KINDS = ['norm', 'kv', 'attention', 'ffn', 'expert', 'head'] as const;
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
  /** Lengths of the f32 vectors that follow the matrices: biases, norms and the like. */
  readonly vectors: readonly number[];
}

/** What a tile's bytes are. */
export type TileContent = Pick<TileShape, 'matrices' | 'vectors'>;

/** Version of the tile layout; part of every tile's name, so that a store never serves another layout. */
export const TILE_VERSION = 1;

/** Matrices and vectors start at multiples of this within a tile. */
const ALIGNMENT = 64;

/** Byte offsets of the matrices and of the vectors within the tile, and the tile's size. */
export function tileLayout({ matrices, vectors }: TileContent): {
  readonly offsets: readonly number[];
  readonly vectorOffsets: readonly number[];
  readonly bytes: number;
} {
  let end = 0;
  const place = (bytes: number): number => {
    const at = end;
    end = roundUp(end + bytes, ALIGNMENT);
    return at;
  };
  const offsets = matrices.map(({ format, rows, cols }) => place(matrixBytes(format, rows, cols)));
  const vectorOffsets = vectors.map((length) => place(length * 4));
  return { offsets, vectorOffsets, bytes: end };
}

/** The tile's size, as tileLayout says. */
export function tileBytes({ matrices, vectors }: TileContent): number {
  let end = 0;
  for (const { format, rows, cols } of matrices) end = roundUp(end + matrixBytes(format, rows, cols), ALIGNMENT);
  for (const length of vectors) end = roundUp(end + length * 4, ALIGNMENT);
  return end;
}

/**
 * The formats in which the tile's first products take the phase's input. The last one of those that add takes what
 * these gave.
 */
export function inputFormats({ kind, matrices }: Pick<TileShape, 'kind' | 'matrices'>): ActivationFormat[] {
  const first = kind === 'head' || kind === 'kv' || kind === 'norm' ? matrices : matrices.slice(0, -1);
  return [...new Set(first.map(({ format }) => WEIGHT_FORMATS[format].activation))];
}

/** The tile's name within its model, in stores and messages: for example "v1-l007-ffn-0012". */
export function tileName({ kind, layer, index }: Pick<TileShape, 'kind' | 'layer' | 'index'>): string {
  return `v${TILE_VERSION}-l${String(layer).padStart(3, '0')}-${kind}-${String(index).padStart(4, '0')}`;
}
