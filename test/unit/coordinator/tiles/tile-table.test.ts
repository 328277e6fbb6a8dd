import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LEAST_TILES, TARGET_BYTES } from '../../../../coordinator/tiles/tile-sizes.ts';
import { cutsOf, tileTable } from '../../../../coordinator/tiles/tile-table.ts';
import { checkLoad } from '../../../../daemon/engine/check-load.ts';
import { type TileKind, tileBytes, tileName } from '../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES, type ModelShape } from '../../../../scripts/model-shapes.ts';
import type { Quant } from '../../../../scripts/quant-mix.ts';
import { modelOfShape } from '../../../../scripts/shape-model.ts';

const SHAPES: readonly (readonly [ModelShape, Quant])[] = [
  [MODEL_SHAPES.tiny, 'F16'],
  [MODEL_SHAPES['tinyllama-1.1b'], 'Q4_0'],
  [MODEL_SHAPES['llama-3.2-1b'], 'Q4_K_M'],
  [{ ...MODEL_SHAPES['llama-3.1-8b'], layers: 3 }, 'Q4_K_M'],
  // Nothing divides these.
  [{ ...MODEL_SHAPES.tiny, heads: 7, kvHeads: 1, headDim: 32, dim: 200, ffDim: 352, vocabSize: 509 }, 'Q8_0'],
];

describe('the table of tiles', () => {
  for (const [shape, quant] of SHAPES) {
    const model = modelOfShape('table', shape, quant);
    const { tiles, engine } = tileTable(model);
    const of = (kind: TileKind, layer: number) => tiles.filter((tile) => tile.kind === kind && tile.layer === layer);
    const title = `${shape.layers} layers of ${shape.heads} heads in ${quant}`;

    it(`covers every head, column and row of the vocabulary once: ${title}`, () => {
      const whole: [TileKind, number][] = [
        ['kv', shape.kvHeads],
        ['attention', shape.heads],
        ['ffn', shape.ffDim],
        ['head', shape.vocabSize],
      ];
      for (const [kind, all] of whole) {
        for (let layer = 0; layer < (kind === 'head' ? 1 : shape.layers); layer++) {
          let next = 0;
          for (const [i, { index, first, count }] of of(kind, layer).entries()) {
            assert.deepEqual([index, first], [i, next]);
            next = first + count;
          }
          assert.equal(next, all, `${kind} of layer ${layer}`);
        }
      }
    });

    it(`is what devices take, each tile under a name of its own: ${title}`, () => {
      assert.equal(new Set(tiles.map(tileName)).size, tiles.length);
      checkLoad({ ...engine, kv: 'f16', kvPages: 1 }, tiles);
      for (const [layer, phases] of engine.layers.entries()) {
        const counts = phases.map((phase) => phase.tiles);
        assert.deepEqual(counts, [of('attention', layer).length, of('ffn', layer).length]);
      }
    });

    it(`has tiles of what they are cut from: ${title}`, () => {
      for (const tile of tiles) {
        const { matrices } = cutsOf(model, tile);
        assert.equal(matrices.length, tile.matrices.length);
        for (const [i, { matrix, rows, cols }] of matrices.entries()) {
          assert.equal(tile.matrices[i]!.format, matrix.tensor.type);
          assert.ok(rows <= tile.matrices[i]!.rows && cols <= tile.matrices[i]!.cols, `${tileName(tile)}, ${i}`);
        }
      }
    });

    it(`has enough tiles to share, none of them much too large: ${title}`, () => {
      for (const kind of ['ffn', 'head'] as const) {
        const units = Math.ceil((kind === 'ffn' ? shape.ffDim : shape.vocabSize) / 256);
        assert.ok(of(kind, 0).length >= Math.min(LEAST_TILES, units));
      }
      for (const tile of tiles.filter(({ kind }) => kind !== 'kv')) assert.ok(tileBytes(tile) <= TARGET_BYTES);
    });
  }

  it('cuts attention within the heads of one key/value head, or at whole groups', () => {
    for (const [heads, kvHeads] of [
      [32, 4],
      [7, 1],
      [28, 4],
      [40, 8],
      [64, 64],
    ] as const) {
      const shape = { ...MODEL_SHAPES.tiny, heads, kvHeads, headDim: 32, dim: 32 * heads };
      const group = heads / kvHeads;
      for (const { kind, first, count } of tileTable(modelOfShape('table', shape, 'Q4_0')).tiles) {
        if (kind !== 'attention') continue;
        const isWithin = Math.floor(first / group) === Math.floor((first + count - 1) / group);
        assert.ok(isWithin || (first % group === 0 && count % group === 0), `${heads} heads: ${first}, ${count}`);
      }
    }
  });

  it('puts heads of half a block together, as columns are cut at blocks', () => {
    const { tiles } = tileTable(modelOfShape('table', MODEL_SHAPES.tiny, 'Q4_0'));
    assert.ok(tiles.filter(({ kind }) => kind === 'attention').every(({ count }) => count === 2));
  });
});
