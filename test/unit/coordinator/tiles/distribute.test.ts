import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { distributeTiles, type TileTarget } from '../../../../coordinator/tiles/distribute.ts';
import type { TileCutter } from '../../../../coordinator/tiles/tile-cutter.ts';
import { TILE_WINDOW } from '../../../../daemon/protocol/tile-transfer.ts';
import { type TileShape, tileLayout, tileName } from '../../../../daemon/tile/tile.ts';

const tile = (layer: number, kind: TileShape['kind'], index: number, cols = 32): TileShape => ({
  kind,
  layer,
  index,
  first: index,
  count: 1,
  matrices: [{ format: 'F32', rows: 8, cols }],
  vectors: [],
});

/** Cuts tiles into bytes that tell them apart, into one buffer as the real one does. */
function fakeCutter(): { cutter: TileCutter; cut: string[] } {
  const cut: string[] = [];
  const buffer = new Uint8Array(64 * 2 ** 20);
  const cutter = {
    cut: async (shape: TileShape) => {
      cut.push(tileName(shape));
      return buffer.subarray(0, tileLayout(shape).bytes).fill(shape.layer * 16 + shape.index);
    },
  };
  return { cutter: cutter as unknown as TileCutter, cut };
}

test('each tile is cut once and reaches all that lack it, whole', async () => {
  const { cutter, cut } = fakeCutter();
  const got = new Map<string, string[]>();
  const target = (name: string, missing: TileShape[]): TileTarget => ({
    missing,
    push: async (shape, content, sha256) => {
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(content.length, tileLayout(shape).bytes);
      assert.ok(content.every((byte) => byte === shape.layer * 16 + shape.index));
      assert.deepEqual(Buffer.from(sha256), createHash('sha256').update(content).digest());
      got.set(name, [...(got.get(name) ?? []), tileName(shape)]);
    },
  });
  const progress: number[] = [];
  const shared = tile(0, 'kv', 0);
  const delivered = await distributeTiles(
    cutter,
    [target('a', [shared, tile(0, 'ffn', 0)]), target('b', [shared, tile(0, 'ffn', 1)]), target('c', [])],
    (done) => void progress.push(done),
  );
  const bytes = tileLayout(shared).bytes;
  assert.equal(delivered, 4 * bytes);
  assert.deepEqual(progress, [0, bytes, 2 * bytes, 3 * bytes, 4 * bytes]);
  assert.equal(cut.length, 3);
  assert.deepEqual(got.get('a')?.length, 2);
  assert.deepEqual(got.get('b')?.length, 2);
});

test('targets take turns within a layer and kind, in proportion to what they lack', async () => {
  const { cutter, cut } = fakeCutter();
  const target = (missing: TileShape[]): TileTarget => ({ missing, push: async () => {} });
  await distributeTiles(
    cutter,
    [
      target([0, 1, 2, 3].map((index) => tile(1, 'ffn', index))),
      target([...[4, 5].map((index) => tile(1, 'ffn', index)), tile(0, 'ffn', 0)]),
    ],
    () => {},
  );
  assert.deepEqual(cut, [tile(0, 'ffn', 0), ...[0, 4, 1, 2, 5, 3].map((index) => tile(1, 'ffn', index))].map(tileName));
});

test('no more than a window is under way to a target, nor more than two to all', async () => {
  const { cutter } = fakeCutter();
  const cols = 2 ** 17;
  const bytes = tileLayout(tile(0, 'ffn', 0, cols)).bytes;
  let underWay = 0;
  let most = 0;
  const target = (from: number): TileTarget => ({
    missing: Array.from({ length: 12 }, (_, i) => tile(0, 'ffn', from + i, cols)),
    push: async () => {
      underWay += bytes;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setTimeout(resolve, 5));
      underWay -= bytes;
    },
  });
  await distributeTiles(cutter, [target(0)], () => {});
  assert.equal(most, Math.floor(TILE_WINDOW / bytes) * bytes);
  most = 0;
  await distributeTiles(cutter, [target(0), target(12), target(24)], () => {});
  assert.equal(most, Math.floor((2 * TILE_WINDOW) / bytes) * bytes);
});

test('a target that fails ends it with its error, after the others are done', async () => {
  const { cutter, cut } = fakeCutter();
  const tiles = Array.from({ length: 10 }, (_, index) => tile(index, 'ffn', 0, 2 ** 19));
  const failing: TileTarget = { missing: tiles, push: () => Promise.reject(new Error('lost')) };
  await assert.rejects(
    distributeTiles(cutter, [failing], () => {}),
    /lost/,
  );
  assert.ok(cut.length < tiles.length, 'the rest is not cut');
});

test('an abort ends it', async () => {
  const { cutter } = fakeCutter();
  const target: TileTarget = { missing: [tile(0, 'ffn', 0)], push: async () => {} };
  await assert.rejects(
    distributeTiles(cutter, [target], () => {}, AbortSignal.abort()),
    { name: 'AbortError' },
  );
});
