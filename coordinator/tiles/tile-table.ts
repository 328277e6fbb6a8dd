import { type EngineSpec, MAX_PHASE_TILES, pagesFor } from '../../daemon/engine/engine-spec.ts';
import { type TileMatrix, type TileShape, tileLayout } from '../../daemon/engine/tile.ts';
import { BLOCK, type KvFormat, ROW_GROUP, roundUp, WEIGHT_FORMATS } from '../../kernels/formats.ts';
import type { LayerWeights, ModelSpec, Weight } from '../model/spec.ts';

/** Every tile of a model, and what a device must know to compute them. A function of the model file alone. */
export interface TileTable {
  readonly tiles: readonly TileShape[];
  readonly engine: Omit<EngineSpec, 'kv' | 'kvPages'>;
}

/** Tiles are cut as large as this, */
const TARGET_BYTES = 2 * 2 ** 20;
/** unless that would leave fewer than this many a layer for devices and threads to share. */
const LEAST_TILES = 16;

export function tileTable(model: ModelSpec): TileTable {
  const cols = roundUp(model.dim, BLOCK);
  const layers = model.layers.map((weights, layer) => {
    const attention = attentionTiles(model, weights, layer, cols);
    const ffn = ffnTiles(model, weights, layer, cols);
    return { attention, kv: kvTiles(model, weights, layer, cols), ffn, weights };
  });
  return {
    tiles: [...layers.flatMap(({ attention, kv, ffn }) => [...kv, ...attention, ...ffn]), ...headTiles(model, cols)],
    engine: {
      dim: model.dim,
      cols,
      heads: model.heads,
      kvHeads: model.kvHeads,
      headDim: model.headDim,
      vocabSize: model.vocabSize,
      layers: layers.map(({ attention, ffn, weights: { q, k, v, gate, up } }) => ({
        inputs: [activationsFor(q, k, v), activationsFor(gate, up)],
        tiles: [attention.length, ffn.length],
      })),
      head: activationsFor(model.head),
    },
  };
}

/** The engine's spec for sequences of at most `positions` positions, cached in a format. */
export function engineSpec(table: TileTable, positions: number, kv: KvFormat): EngineSpec {
  return { ...table.engine, kv, kvPages: pagesFor(positions) };
}

/** Activations travel quantised unless a matrix that takes them is in a float format. */
function activationsFor(...weights: readonly Weight[]): 'q8' | 'f32' {
  return weights.some(({ type }) => WEIGHT_FORMATS[type].activation === 'f32') ? 'f32' : 'q8';
}

const padded = (weight: Weight, rows: number, cols: number): TileMatrix => ({
  format: weight.type,
  rows: roundUp(rows, ROW_GROUP),
  cols: roundUp(cols, BLOCK),
});

/** Wq rows and Wo columns of `count` heads; the rows are padded like the columns, as one feeds the other. */
function attentionMatrices(model: ModelSpec, { q, o }: LayerWeights, count: number, cols: number): TileMatrix[] {
  const width = roundUp(count * model.headDim, BLOCK);
  return [padded(q, width, cols), padded(o, model.dim, width)];
}

function ffnMatrices(model: ModelSpec, { gate, up, down }: LayerWeights, count: number, cols: number): TileMatrix[] {
  const width = roundUp(count, BLOCK);
  return [padded(gate, width, cols), padded(up, width, cols), padded(down, model.dim, width)];
}

/**
 * Whole query heads whose Wo columns are whole blocks. A tile stays within the heads of one key/value head where blocks allow,
 * so that it needs one cache only.
 */
function attentionTiles(model: ModelSpec, weights: LayerWeights, layer: number, cols: number): TileShape[] {
  const { heads, kvHeads, headDim } = model;
  const group = heads / kvHeads;
  const block = WEIGHT_FORMATS[weights.o.type].sourceBlockValues;
  const fits = (count: number): boolean =>
    heads % count === 0 && (group % count === 0 || count % group === 0) && (count * headDim) % block === 0;
  const counts = Array.from({ length: heads }, (_, i) => i + 1).filter(fits);
  const good = counts.filter(
    (count) =>
      heads / count >= LEAST_TILES && tileLayout(attentionMatrices(model, weights, count, cols)).bytes <= TARGET_BYTES,
  );
  const count = good.at(-1) ?? counts[0] ?? heads;
  const matrices = attentionMatrices(model, weights, count, cols);
  return Array.from({ length: heads / count }, (_, index) => ({
    kind: 'attention',
    layer,
    index,
    first: index * count,
    count,
    matrices,
  }));
}

function kvTiles(model: ModelSpec, { k, v }: LayerWeights, layer: number, cols: number): TileShape[] {
  const matrices = [padded(k, model.headDim, cols), padded(v, model.headDim, cols)];
  return Array.from({ length: model.kvHeads }, (_, index) => ({
    kind: 'kv',
    layer,
    index,
    first: index,
    count: 1,
    matrices,
  }));
}

/** Runs of whole blocks of feed-forward columns, as even as blocks allow. */
function ffnTiles(model: ModelSpec, weights: LayerWeights, layer: number, cols: number): TileShape[] {
  const unit = Math.max(BLOCK, WEIGHT_FORMATS[weights.down.type].sourceBlockValues);
  const unitBytes = tileLayout(ffnMatrices(model, weights, unit, cols)).bytes;
  return evenRuns(Math.ceil(model.ffDim / unit), Math.floor(TARGET_BYTES / unitBytes)).map(([from, to], index) => {
    const first = from * unit;
    const count = Math.min(to * unit, model.ffDim) - first;
    return { kind: 'ffn', layer, index, first, count, matrices: ffnMatrices(model, weights, count, cols) };
  });
}

/** Runs of vocabulary rows. */
function headTiles(model: ModelSpec, cols: number): TileShape[] {
  const groups = Math.ceil(model.vocabSize / ROW_GROUP);
  const groupBytes = tileLayout([padded(model.head, ROW_GROUP, cols)]).bytes;
  return evenRuns(groups, Math.floor(TARGET_BYTES / groupBytes)).map(([from, to], index) => {
    const first = from * ROW_GROUP;
    const count = Math.min(to * ROW_GROUP, model.vocabSize) - first;
    return { kind: 'head', layer: 0, index, first, count, matrices: [padded(model.head, count, cols)] };
  });
}

/** Cuts 0..units into even runs of at most `most` units, at least LEAST_TILES of them where there are as many units. */
function evenRuns(units: number, most: number): [from: number, to: number][] {
  const largest = Math.max(1, Math.min(most, Math.floor(units / LEAST_TILES)));
  const runs = Math.min(Math.ceil(units / largest), MAX_PHASE_TILES);
  return Array.from({ length: runs }, (_, i) => [Math.floor((i * units) / runs), Math.floor(((i + 1) * units) / runs)]);
}
