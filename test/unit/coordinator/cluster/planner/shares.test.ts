import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { phaseWorks } from '../../../../../coordinator/cluster/planner/phase-work.ts';
import { type Division, shareOf, sharesOf } from '../../../../../coordinator/cluster/planner/shares.ts';
import { checkLoad } from '../../../../../daemon/engine/check-load.ts';
import { pagesFor } from '../../../../../daemon/engine/engine-spec.ts';
import type { TileShape } from '../../../../../daemon/tile/tile.ts';
import { tileName } from '../../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES, type ModelShape } from '../../../../../scripts/model-shapes.ts';
import { plannedModel } from '../../../../fixtures/planning-cases.ts';
import { Random } from '../../../../fixtures/random.ts';

const names = (share: readonly TileShape[], kind: TileShape['kind']): string[] =>
  share.filter((tile) => tile.kind === kind).map(tileName);

/** Any division of so many tiles, runs of none among them. */
function randomCounts(random: Random, tiles: number, devices: number): number[] {
  const cuts = Array.from({ length: devices - 1 }, () => random.between(0, tiles)).sort((a, b) => a - b);
  return [...cuts, tiles].map((cut, i) => cut - (i === 0 ? 0 : cuts[i - 1]!));
}

const SHAPES: Readonly<Record<string, ModelShape>> = {
  'eight query heads to each of four key/value heads': { ...MODEL_SHAPES['tinyllama-1.1b'], layers: 2 },
  'a key/value head for each query head': { ...MODEL_SHAPES.tiny, heads: 7, kvHeads: 7, headDim: 32, dim: 224 },
  'seven query heads to one key/value head': { ...MODEL_SHAPES.tiny, heads: 7, kvHeads: 1, headDim: 32, dim: 224 },
  'heads of half a block': MODEL_SHAPES.tiny,
};

describe('shares', () => {
  for (const [title, shape] of Object.entries(SHAPES)) {
    it(`have every tile once, and what a device checks a load for: ${title}`, () => {
      const { tiles, engine } = plannedModel(shape);
      const works = phaseWorks(tiles, engine);
      const random = new Random(1);
      for (let round = 0; round < 50; round++) {
        const devices = random.between(1, 12);
        const division = works.map((work) => randomCounts(random, work.tiles.length, devices));
        const shares = sharesOf(works, division, devices);
        const given = shares.flat().filter(({ kind }) => kind !== 'kv');
        const wanted = tiles.filter(({ kind }) => kind !== 'kv');
        assert.deepEqual(given.map(tileName).sort(), wanted.map(tileName).sort());
        const kv = new Set(shares.flatMap((share) => names(share, 'kv')));
        assert.deepEqual([...kv].sort(), names(tiles, 'kv').sort());
        // That key/value heads come with the query heads that read them is among what it checks.
        for (const share of shares) checkLoad({ ...engine, kvPages: pagesFor(64) }, share);
      }
    });
  }

  it('are runs of each phase in the order of the devices', () => {
    const { tiles, engine } = plannedModel(MODEL_SHAPES['tinyllama-1.1b']);
    const works = phaseWorks(tiles, engine);
    const division: Division = works.map((work) => [3, 0, work.tiles.length - 5, 2]);
    const shares = sharesOf(works, division, 4);
    for (const kind of ['attention', 'ffn', 'head'] as const) {
      for (const layer of kind === 'head' ? [0] : [0, 1, 21]) {
        const indices = shares.map((share) =>
          share.filter((tile) => tile.kind === kind && tile.layer === layer).map(({ index }) => index),
        );
        const all = indices.flat();
        assert.deepEqual(
          all,
          all.map((_, i) => i),
        );
        assert.deepEqual([indices[0]!.length, indices[1]!.length, indices[3]!.length], [3, 0, 2]);
      }
    }
  });

  it('give a key/value head to everyone who has query heads of it, and to nobody else', () => {
    // Sixteen tiles of two query heads, of which four read one key/value head; five devices.
    const { tiles, engine } = plannedModel({ ...MODEL_SHAPES['tinyllama-1.1b'], layers: 1 });
    const works = phaseWorks(tiles, engine);
    const division = works.map((work) =>
      work.kind === 'attention' ? [2, 4, 1, 5, 4] : [work.tiles.length, 0, 0, 0, 0],
    );
    const heads = sharesOf(works, division, 5).map((share) =>
      share.filter(({ kind }) => kind === 'kv').map(({ index }) => index),
    );
    assert.deepEqual(heads, [[0], [0, 1], [1], [1, 2], [3]]);
  });

  it('deal experts out evenly, in their order', () => {
    const { tiles, engine } = plannedModel({ ...MODEL_SHAPES['tinyllama-1.1b'], layers: 1 });
    const works = phaseWorks(tiles, engine);
    const ffn = works.findIndex(({ kind }) => kind === 'ffn');
    const dealt = works.map((work, p) => (p === ffn ? { ...work, routed: { networks: 4, used: 1 } } : work));
    const count = dealt[ffn]!.tiles.length;
    const counts = [count / 4, count / 2, count / 4];
    const division = works.map((work, p) => (p === ffn ? counts : [work.tiles.length, 0, 0]));
    for (const d of [0, 1, 2]) {
      const indices = shareOf(dealt, division, d)
        .filter(({ kind }) => kind === 'ffn')
        .map(({ index }) => index);
      assert.equal(indices.length, counts[d]);
      // Of any four tiles that follow each other, a device has as many as are due, or one more or less.
      for (let from = 0; from + 4 <= count; from++) {
        const here = indices.filter((index) => index >= from && index < from + 4).length;
        assert.ok(Math.abs(here - (4 * counts[d]!) / count) <= 1, `${here} of ${from}..${from + 4} for ${d}`);
      }
    }
  });
});
