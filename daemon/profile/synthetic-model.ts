import { BLOCK, KV_PAGE, kvPageBytes, matrixBytes, WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';
import type { AttentionSpec, EngineSpec, FeedForwardSpec } from '../engine/engine-spec.ts';
import type { TileMatrix, TileShape } from '../tile/tile.ts';

/** Layers of a model that there is not, and their tiles: what an engine is measured with. */
export interface SyntheticModel {
  readonly spec: EngineSpec;
  readonly tiles: readonly TileShape[];
}

/** Width of the residual stream of models of 7 to 14 billion weights. */
export const WIDE = 4096;
/** Of small ones, whose buffers are small as well. */
export const NARROW = 1024;
/** Tiles of models are cut about as large as this. */
const TILE_BYTES = 2 * 2 ** 20;

/** Of models with such heads; two query heads are a tile, and two tiles share a key/value head. */
const HEAD_DIM = 128;
const TILE_HEADS = 2;
const GROUP = 4;
/** Weights of attention are to be a small part of it. */
const ATTENTION_FORMAT = 'Q4_0';

/** Cached positions that attention is measured with. */
export const POSITIONS = 1024;
export const PAGES = POSITIONS / KV_PAGE;

/** How keys and values are cached. */
const KV = 'f16';

const ofEveryModel = (dim: number): Omit<EngineSpec, 'layers'> => ({
  ...{ dim, cols: dim, vocabSize: 8, rmsEps: 1e-5, ropes: [HEAD_DIM], head: 'f32', kv: KV, kvPages: PAGES },
});

/**
 * Layers with one feed-forward network each, cut as those of models are: whole blocks of the format's columns, and
 * about 2 MiB.
 * @param dim width of the residual stream
 * @param perLayer tiles of each layer
 */
export function weightLayers(format: WeightFormat, dim: number, perLayer: readonly number[]): SyntheticModel {
  const unit = Math.max(BLOCK, WEIGHT_FORMATS[format].sourceBlockValues);
  const unitBytes = 2 * matrixBytes(format, unit, dim) + matrixBytes(format, dim, unit);
  const columns = unit * Math.max(1, Math.floor(TILE_BYTES / unitBytes));
  return {
    spec: { ...ofEveryModel(dim), layers: perLayer.map((tiles) => [feedForwardSpec(format, tiles)]) },
    tiles: perLayer.flatMap((tiles, layer) => feedForwardTiles(format, dim, layer, tiles, columns)),
  };
}

/**
 * Layers of attention, and last one with a feed-forward network of tiles that are as small as any.
 * @param perLayer attention tiles of each layer but the last
 * @param tiny tiles of the last layer
 */
export function attentionLayers(perLayer: readonly number[], tiny: number): SyntheticModel {
  const last = perLayer.length;
  return {
    spec: {
      ...ofEveryModel(NARROW),
      layers: [...perLayer.map((tiles) => [attentionSpec(tiles)]), [feedForwardSpec(ATTENTION_FORMAT, tiny)]],
    },
    tiles: [
      ...perLayer.flatMap((tiles, layer) => attentionTiles(layer, tiles)),
      ...feedForwardTiles(ATTENTION_FORMAT, NARROW, last, tiny, BLOCK),
    ],
  };
}

/** Bytes of keys and values that an attention tile reads for a row that sees POSITIONS positions. */
export const ATTENDED_BYTES = PAGES * kvPageBytes(KV, HEAD_DIM);

function feedForwardSpec(format: WeightFormat, tiles: number): FeedForwardSpec {
  return { kind: 'ffn', input: WEIGHT_FORMATS[format].activation, tiles, activation: 'silu', biased: false };
}

function attentionSpec(tiles: number): AttentionSpec {
  const kvHeads = keyValueHeads(tiles);
  return {
    ...{
      kind: 'attention',
      input: WEIGHT_FORMATS[ATTENTION_FORMAT].activation,
      tiles,
      heads: kvHeads * GROUP,
      kvHeads,
    },
    ...{ headDim: HEAD_DIM, scale: HEAD_DIM ** -0.5, softCap: 0, window: 0, ropes: [0, 0] },
    ...{ biased: false, normed: 'none', sinks: false },
  };
}

const keyValueHeads = (tiles: number): number => Math.ceil((tiles * TILE_HEADS) / GROUP);

function feedForwardTiles(
  format: WeightFormat,
  dim: number,
  layer: number,
  count: number,
  columns: number,
): TileShape[] {
  const [into, out] = [
    { format, rows: columns, cols: dim },
    { format, rows: dim, cols: columns },
  ];
  return tilesOf('ffn', layer, count, columns, [into, into, out]);
}

function attentionTiles(layer: number, count: number): TileShape[] {
  const width = TILE_HEADS * HEAD_DIM;
  const [q, out] = [
    { format: ATTENTION_FORMAT, rows: width, cols: NARROW },
    { format: ATTENTION_FORMAT, rows: NARROW, cols: width },
  ] as const;
  const keys = { format: ATTENTION_FORMAT, rows: HEAD_DIM, cols: NARROW } as const;
  return [
    ...tilesOf('kv', layer, keyValueHeads(count), 1, [keys, keys]),
    ...tilesOf('attention', layer, count, TILE_HEADS, [q, out]),
  ];
}

/** `count` tiles of a kind, each `of` heads or columns. */
const tilesOf = (
  kind: TileShape['kind'],
  layer: number,
  count: number,
  of: number,
  matrices: readonly TileMatrix[],
): TileShape[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ kind, layer, index, first: index * of, count: of },
    ...{ matrices, vectors: [] },
  }));
