import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HeadWish } from '../../../coordinator/cluster/planner/roles.ts';
import { createLogger } from '../../../daemon/log.ts';
import type { TileKind } from '../../../daemon/tile/tile.ts';
import { sharedData } from '../../fixtures/shared-data.ts';
import { type PlannedSpeed, WindowCluster } from '../../fixtures/window-cluster.ts';

const NO_DATA = 'no ../shared/data';
const log = createLogger('silent', 'test');
/** Enough for any share. */
const MEMORY = 8;

const speed = (weights: number, attention = weights): PlannedSpeed => ({ weights, attention });

/** Which kinds of tiles each device has: the coordinator, then the daemons. */
function kinds({ cluster }: WindowCluster): string[] {
  const shares = [...cluster.plan.shares.values()];
  return shares.map((share) => [...new Set(share.map(({ kind }): TileKind => kind))].sort().join());
}

/** Tiles of each device. */
const sizes = ({ cluster }: WindowCluster): number[] => [...cluster.plan.shares.values()].map(({ length }) => length);

interface Case {
  readonly name: string;
  /** Of the daemons, the coordinator's last; undefined for equal ones, which all have a share. */
  readonly speeds?: readonly PlannedSpeed[];
  readonly daemons: number;
  readonly head: HeadWish;
  readonly check: (cluster: WindowCluster) => void;
}

const CASES: readonly Case[] = [
  {
    name: 'speeds of 1 to 4, head local',
    speeds: [speed(0.01), speed(0.02), speed(0.004)],
    daemons: 2,
    head: 'local',
    check: (cluster) => {
      const [own, slow, quick] = sizes(cluster);
      // The head's tiles are the coordinator's.
      assert.ok(quick! > 1.5 * slow! && own! > 0, `${own}, ${slow}, ${quick}`);
      assert.ok(kinds(cluster).every((each, d) => d === 0 || !each.includes('head')));
    },
  },
  {
    name: 'speeds of 1 to 4, head shared',
    speeds: [speed(0.01), speed(0.02), speed(0.005)],
    daemons: 2,
    head: 'shared',
    check: (cluster) => assert.ok(kinds(cluster).filter((each) => each.includes('head')).length > 1),
  },
  {
    name: 'devices with feed-forward tiles only',
    speeds: [speed(0.001, 1e-6), speed(0.001, 1e-6), speed(0.001, 10)],
    daemons: 2,
    head: 'local',
    check: (cluster) => {
      const [own, ...others] = kinds(cluster);
      assert.ok(own!.includes('attention'), own);
      assert.deepEqual(others, ['ffn', 'ffn']);
    },
  },
  {
    name: 'more devices than key/value heads, head shared',
    daemons: 5,
    head: 'shared',
    check: (cluster) =>
      assert.ok(
        sizes(cluster)
          .slice(1)
          .every((size) => size > 0),
      ),
  },
];

test('plans of all kinds give the bits of one device', async (t) => {
  const alone = await WindowCluster.start(t, { daemons: 0, memory: MEMORY, log });
  const expected = await alone.logits();
  for (const { name, daemons, head, speeds, check } of CASES) {
    await t.test(name, async (t) => {
      const given = speeds === undefined ? {} : { speeds };
      const cluster = await WindowCluster.start(t, { daemons, head, memory: MEMORY, log, ...given });
      check(cluster);
      assert.equal(await cluster.logits(), expected);
    });
  }
});

const STORIES = sharedData('models/stories260K.gguf');

test('five devices of four key/value heads give the bits of one', { skip: STORIES === null && NO_DATA }, async (t) => {
  const common = { path: STORIES!, memory: MEMORY, log };
  const alone = await WindowCluster.start(t, { ...common, daemons: 0 });
  const five = await WindowCluster.start(t, { ...common, daemons: 5 });
  const kvTiles = ({ cluster }: WindowCluster): number =>
    [...cluster.plan.shares.values()].flat().filter(({ kind }) => kind === 'kv').length;
  assert.ok(kvTiles(five) > kvTiles(alone), 'some key/value heads are computed on several devices');
  assert.equal(await five.logits(), await alone.logits());
});
