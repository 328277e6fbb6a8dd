import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tileTable } from '../../../../coordinator/tiles/tile-table.ts';
import { checkLoad } from '../../../../daemon/engine/check-load.ts';
import { type AttentionSpec, type EngineSpec, engineSpecSchema } from '../../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { TILE_KINDS, type TileShape } from '../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES } from '../../../../scripts/model-shapes.ts';
import { modelOfShape } from '../../../../scripts/shape-model.ts';
import { Random } from '../../../fixtures/random.ts';

const table = tileTable(modelOfShape('load', MODEL_SHAPES.tiny, 'Q4_0'));
const spec: EngineSpec = { ...table.engine, kv: 'f16', kvPages: 1 };
const { tiles } = table;

const withTile = (kind: TileShape['kind'], change: (tile: TileShape) => TileShape): TileShape[] => {
  const place = tiles.findIndex((tile) => tile.kind === kind);
  return tiles.map((tile, i) => (i === place ? change(tile) : tile));
};
const withAttention = (fields: Partial<AttentionSpec>): EngineSpec => ({
  ...spec,
  layers: spec.layers.map((phases) =>
    phases.map((each) => (each.kind === 'attention' ? { ...each, ...fields } : each)),
  ),
});

function assertRefused(engine: EngineSpec, load: readonly TileShape[], message: RegExp): void {
  assert.throws(
    () => checkLoad(engine, load),
    (error) =>
      error instanceof StarlingError && error.code === 'protocol_invalid_message' && message.test(error.message),
  );
}

describe('checking a load', () => {
  it('takes a model, a part of it, and nothing of it', () => {
    checkLoad(spec, tiles);
    checkLoad(spec, []);
    checkLoad(
      spec,
      tiles.filter(({ kind, index }) => kind === 'ffn' && index % 2 === 0),
    );
    checkLoad(
      spec,
      tiles.filter(({ kind }) => kind === 'head'),
    );
  });

  it('refuses a model whose sizes contradict each other', () => {
    assertRefused({ ...spec, cols: spec.cols + 32 }, [], /96 columns for a width of 64/);
    assertRefused(withAttention({ kvHeads: 3 }), [], /4 heads share 3 key\/value heads/);
    assertRefused(withAttention({ headDim: 24 }), [], /turns heads of 24 by no table of that width/);
    assertRefused(withAttention({ ropes: [0, 5] }), [], /by no table of that width/);
    const twice = { ...spec, layers: spec.layers.map((phases) => [...phases, phases[0]!]) };
    assertRefused(twice, [], /layer 0 has two phases of a kind/);
  });

  it('refuses a tile that is named twice', () => {
    assertRefused(spec, [...tiles, tiles[0]!], /named twice/);
  });

  it('refuses query heads without the key/value heads that they read', () => {
    assertRefused(
      spec,
      tiles.filter(({ kind, layer, index }) => kind !== 'kv' || layer !== 1 || index !== 0),
      /v1-l001-attention-0000 comes without v1-l001-kv-0000/,
    );
  });

  it('refuses tiles of other sizes, places or kinds than the model has', () => {
    for (const kind of ['kv', 'attention', 'ffn', 'head'] as const) {
      const changes: ((tile: TileShape) => TileShape)[] = [
        (tile) => ({ ...tile, layer: kind === 'head' ? 1000 : spec.layers.length }),
        // Where a feed-forward tile's columns begin addresses nothing, and so is not looked at.
        (tile) => ({ ...tile, first: kind === 'ffn' ? tile.first : 2 ** 24, count: tile.count + 32 }),
        (tile) => ({ ...tile, count: 2 ** 24 }),
        (tile) => ({ ...tile, matrices: [] }),
        (tile) => ({ ...tile, matrices: [...tile.matrices, tile.matrices[0]!] }),
        (tile) => ({ ...tile, vectors: [...tile.vectors, 8] }),
        (tile) => ({ ...tile, matrices: tile.matrices.map((each) => ({ ...each, rows: each.rows + 8 })) }),
        (tile) => ({ ...tile, matrices: tile.matrices.map((each) => ({ ...each, cols: each.cols + 32 })) }),
        (tile) => ({ ...tile, kind: 'expert' }),
        (tile) => ({ ...tile, kind: 'norm' }),
      ];
      for (const change of changes) {
        assertRefused(spec, withTile(kind, change), /does not fit the model|comes without|named twice/);
      }
    }
  });

  it('refuses a head of another type of activations', () => {
    assertRefused({ ...spec, head: 'f32' }, tiles, /head-0000 does not take its input as f32/);
  });

  it('never lets through what differs in what it trusts, nor throws anything but its own error', () => {
    const random = new Random(11);
    engineSpecSchema.parse(spec);
    for (let round = 0; round < 2000; round++) {
      const place = random.below(tiles.length);
      const tile = tiles[place]!;
      const [m, big] = [random.below(tile.matrices.length), 8 * random.between(1, 2 ** 17)];
      const hostile = random.pick<TileShape>([
        { ...tile, kind: random.pick(TILE_KINDS), layer: random.below(1024) },
        { ...tile, first: random.below(2 ** 24), count: random.between(1, 2 ** 24) },
        { ...tile, matrices: tile.matrices.map((each, i) => (i === m ? { ...each, rows: big } : each)) },
        { ...tile, matrices: tile.matrices.map((each, i) => (i === m ? { ...each, cols: 4 * big } : each)) },
        { ...tile, vectors: [random.between(1, 2 ** 20)] },
      ]);
      if (JSON.stringify(hostile) === JSON.stringify(tile)) continue;
      assertRefused(spec, [...tiles.slice(0, place), hostile, ...tiles.slice(place + 1)], /a load is inconsistent/);
    }
  });
});
