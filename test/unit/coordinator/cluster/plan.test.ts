import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalPlan, type PlanWishes } from '../../../../coordinator/cluster/plan.ts';
import type { TileShape } from '../../../../daemon/tile/tile.ts';
import { attentionSpec, feedForwardSpec } from '../../../fixtures/model-phases.ts';

const LAYERS = 2;
const tile = (kind: TileShape['kind'], layer: number, index: number, count = 1, rows = 8): TileShape => ({
  ...{ kind, layer, index, first: index * count, count },
  matrices: [{ format: 'Q8_0', rows, cols: 2048 }],
  vectors: [],
});
/** Four query heads to two key/value heads, three feed-forward tiles a layer, and a head of tiles of so many rows. */
const tilesOf = (headTiles: number, headRows: number): TileShape[] => [
  ...Array.from({ length: LAYERS }, (_, layer) => [
    ...[0, 1].map((index) => tile('kv', layer, index)),
    ...[0, 1, 2, 3].map((index) => tile('attention', layer, index)),
    ...[0, 1, 2].map((index) => tile('ffn', layer, index)),
  ]).flat(),
  ...Array.from({ length: headTiles }, (_, index) => tile('head', 0, index, headRows, headRows)),
];
const engine = {
  layers: Array.from({ length: LAYERS }, () => [attentionSpec({ heads: 4, kvHeads: 2 }), feedForwardSpec()]),
};
const names = (share: readonly TileShape[] | undefined): string[] =>
  (share ?? []).map(({ kind, layer, index }) => `${kind} ${layer}.${index}`).sort();
const wishes = (fields: Partial<PlanWishes>): PlanWishes => ({
  centre: 'a',
  ranks: ['a', 'b'],
  head: 'auto',
  ...fields,
});

describe('an equal plan', () => {
  it('gives runs of each phase, and the key/value tiles that they read, to each rank by its id', () => {
    const { shares } = equalPlan(tilesOf(4, 8), engine, wishes({ head: 'shared' }));
    assert.deepEqual(names(shares.get('a')), [
      ...['attention 0.0', 'attention 0.1', 'attention 1.0', 'attention 1.1'],
      ...['ffn 0.0', 'ffn 0.1', 'ffn 1.0', 'ffn 1.1', 'head 0.0', 'head 0.1', 'kv 0.0', 'kv 1.0'],
    ]);
    assert.deepEqual(names(shares.get('b')), [
      ...['attention 0.2', 'attention 0.3', 'attention 1.2', 'attention 1.3'],
      ...['ffn 0.2', 'ffn 1.2', 'head 0.2', 'head 0.3', 'kv 0.1', 'kv 1.1'],
    ]);
  });

  it('computes a key/value head on each side where its query heads are split, and every other tile once', () => {
    for (const count of [1, 2, 3, 4, 5, 7]) {
      const ranks = Array.from({ length: count }, (_, i) => `${i}`);
      const tiles = tilesOf(5, 8);
      const { shares } = equalPlan(tiles, engine, wishes({ centre: '0', ranks, head: 'shared' }));
      const planned = [...shares.values()].flatMap((share) => names(share));
      const once = planned.filter((name) => !name.startsWith('kv'));
      assert.deepEqual(once.sort(), names(tiles.filter(({ kind }) => kind !== 'kv')), `${count} ranks`);
      for (const share of shares.values()) {
        const kv = new Set(share.filter(({ kind }) => kind === 'kv').map(({ layer, index }) => `${layer}.${index}`));
        for (const { kind, layer, first } of share) {
          if (kind === 'attention') assert.ok(kv.has(`${layer}.${Math.floor(first / 2)}`), `${count} ranks`);
        }
        // A device's part of the vocabulary is one run.
        const head = share.filter(({ kind }) => kind === 'head').map(({ index }) => index);
        assert.deepEqual(
          head,
          [...head.keys()].map((i) => head[0]! + i),
        );
      }
    }
  });

  it('leaves the layers to the others where the centre has no share, and the head to it unless it is shared', () => {
    const local = equalPlan(tilesOf(4, 8), engine, wishes({ ranks: ['b'], head: 'local' }));
    assert.deepEqual(names(local.shares.get('a')), ['head 0.0', 'head 0.1', 'head 0.2', 'head 0.3']);
    assert.equal(local.head, 'local');
    const shared = equalPlan(tilesOf(4, 8), engine, wishes({ ranks: ['b'], head: 'shared' }));
    assert.deepEqual(names(shared.shares.get('a')), []);
    assert.equal(shared.head, 'shared');
  });

  it('shares the head by itself only where its weights take longer to read than its logits to travel', () => {
    const head = (headRows: number, fields: Partial<PlanWishes> = {}) =>
      equalPlan(tilesOf(16, headRows), engine, wishes(fields));
    assert.equal(head(2000).head, 'shared');
    assert.match(head(2000).why, /saves about [\d.]+ ms a token, its logits take about [\d.]+ ms/);
    assert.equal(head(8).head, 'local', 'a small one is not worth a round trip');
    assert.deepEqual(
      [head(2000, { ranks: ['a'] }).head, head(2000, { ranks: ['a'], head: 'shared' }).head],
      ['local', 'local'],
    );
    assert.equal(head(2000, { head: 'local' }).head, 'local');
    assert.equal(head(8, { head: 'shared' }).head, 'shared');
  });
});
