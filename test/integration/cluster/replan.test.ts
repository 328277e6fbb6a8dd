import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Measured } from '../../../coordinator/cluster/bring-up.ts';
import type { Cluster } from '../../../coordinator/cluster/cluster.ts';
import type { Drift } from '../../../coordinator/cluster/drift.ts';
import { type Plan, plan } from '../../../coordinator/cluster/planner/plan.ts';
import { nominalDevice } from '../../../coordinator/cluster/planner/planned-device.ts';
import { RemoteRank } from '../../../coordinator/cluster/remote-rank.ts';
import { Generator } from '../../../coordinator/generation/generator.ts';
import { GREEDY } from '../../../coordinator/generation/sampler.ts';
import { engineSpec } from '../../../coordinator/tiles/tile-table.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { tileLayout, tileName } from '../../../daemon/tile/tile.ts';
import { byteCodec } from '../../fixtures/fake-text-model.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';
import { WindowCluster } from '../../fixtures/window-cluster.ts';

const IDS = ['own', '0'.repeat(16), '1'.repeat(16)];

/** A plan for devices of these speeds; one of speed 0 computes nothing. */
function planFor({ model, cluster }: WindowCluster, speeds: readonly number[]): Plan {
  const { contextLength } = cluster;
  const devices = IDS.map((id, d) => {
    const common = {
      ...{ id, name: id, backend: 'native', threads: 1, scratchBytes: 0 },
      computesLayers: speeds[d]! > 0,
    };
    const memory = { budget: 1e12, base: 0, threadBytes: 0 };
    const { profile } = nominalDevice({ ...common, memory }, d === 0);
    const link = d === 0 ? null : { roundTripMs: 0.001, jitterMs: 0, bytesPerMs: 1e6 };
    const speed = Math.max(speeds[d]!, 0.01);
    const formats = Object.fromEntries(
      Object.entries(profile.formats).map(([name, rates]) => [
        name,
        { lone: rates.lone * speed * 1e-2, all: rates.all * speed * 1e-2, wide: rates.wide * speed * 1e-2 },
      ]),
    );
    return { ...common, profile: { ...profile, formats }, link };
  });
  const wishes = { head: 'local', use: 'all', users: 1, context: contextLength } as const;
  const made = plan(model.table.tiles, engineSpec(model.table, contextLength, 'f16'), devices, wishes);
  return { ...made, kvPages: cluster.kvPages };
}

async function start(t: TestContext, measured?: ReadonlyMap<string, Measured>) {
  const { log, lines } = recordedLog();
  const known = measured === undefined ? {} : { measured };
  const window = await WindowCluster.start(t, { daemons: 2, memory: 3, head: 'local', log, ...known });
  /** Bytes that were cut and delivered since this was last asked. */
  const delivered = (): number => lines.splice(0).reduce((sum, line) => sum + (JSON.parse(line).delivered ?? 0), 0);
  delivered();
  return { window, cluster: window.cluster, delivered };
}

/** Bytes of the tiles that devices have in one plan and not in another. */
function lacking(from: Plan, to: Plan): number {
  let bytes = 0;
  for (const [id, share] of to.shares) {
    const had = new Set(from.shares.get(id)!.map(tileName));
    for (const tile of share) if (!had.has(tileName(tile))) bytes += tileLayout(tile).bytes;
  }
  return bytes;
}

const tilesOf = ({ plan }: Cluster, device: number): number => plan.shares.get(IDS[device]!)!.length;
const hasCode = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

test('tiles move, and only those that devices lack; logits stay the same', async (t) => {
  const { window, cluster, delivered } = await start(t);
  const expected = await window.logits();
  const equal = cluster.plan;
  const { steps } = cluster.account();
  const slow = planFor(window, [0, 1, 0.25]);
  await cluster.move(slow);
  assert.ok(tilesOf(cluster, 1) > 2 * tilesOf(cluster, 2) && tilesOf(cluster, 2) > 0);
  assert.equal(delivered(), lacking(equal, slow));
  assert.equal(await window.logits(), expected);
  assert.equal(cluster.account().steps, 2 * steps);
  await cluster.move(planFor(window, [1, 1, 1]));
  assert.ok(delivered() > 0 && tilesOf(cluster, 0) > 0);
  assert.equal(await window.logits(), expected);
  await cluster.move(equal);
  assert.equal(delivered(), 0, 'they have these tiles still');
  assert.equal(await window.logits(), expected);
});

test('a conversation, and a text that is under way, do not notice that tiles move', async (t) => {
  const { window, cluster } = await start(t);
  const log = recordedLog().log;
  const equal = cluster.plan;
  const other = planFor(window, [1, 1, 0.2]);
  const converse = async (moves: boolean): Promise<{ tokens: number[]; cached: number }> => {
    const generator = new Generator({ model: cluster, codec: byteCodec, log });
    const ends = { ignored: true, notBefore: 0, tokens: new Set<number>() };
    const tokens = [1, 353, 285, 256, 265];
    let moving: Promise<void> = Promise.resolve();
    let cached = 0;
    for (const turn of [0, 1, 2]) {
      if (moves && turn === 1) await generator.rebuild(() => cluster.move(other));
      const request = { promptTokens: [...tokens, 114 + turn], maxTokens: 12, sampling: GREEDY, stop: [], ends };
      tokens.push(114 + turn);
      let count = 0;
      for await (const event of generator.generate({ ...request, logprobs: null })) {
        if (event.type === 'end') cached = event.usage.cachedTokens;
        if (event.type !== 'token') continue;
        tokens.push(event.token);
        if (moves && turn === 2 && ++count === 5) moving = generator.rebuild(() => cluster.move(equal));
      }
      await moving;
    }
    return { tokens, cached };
  };
  const still = await converse(false);
  const moved = await converse(true);
  assert.deepEqual(moved.tokens, still.tokens);
  assert.ok(still.cached > 20 && moved.cached === still.cached);
});

test('a device that is not needed is free for others; one that is busy then leaves all as it was', async (t) => {
  const { window, cluster, delivered } = await start(t);
  const expected = await window.logits();
  const equal = cluster.plan;
  const without = planFor(window, [1, 1, 0]);
  await cluster.move(without);
  assert.deepEqual(
    [cluster.ranks, cluster.spare].map((ranks) => ranks.map(({ name }) => name)),
    [['device-0'], ['device-1']],
  );
  assert.equal(await window.logits(), expected);
  const other = await RemoteRank.dial(window.dials[1]!);
  t.after(() => other.close());
  assert.equal(other.welcome.serving, null);
  const spec = engineSpec(window.model.table, cluster.contextLength, 'f16');
  const name = { id: window.model.id, name: 'another' };
  await other.load(name, { ...spec, kvPages: cluster.kvPages }, equal.shares.get(IDS[2]!)!);
  delivered();
  await assert.rejects(cluster.move(equal), hasCode('device_busy'));
  assert.equal(cluster.plan, without);
  assert.equal(await window.logits(), expected);
  assert.equal(delivered(), 0);
  assert.equal(cluster.considerMove(1, 0), null, 'nothing is planned with a device that is gone');
});

test('a device that is lost while tiles move is done without', async (t) => {
  const { window, cluster } = await start(t);
  const expected = await window.logits();
  const other = planFor(window, [0, 1, 0.25]);
  await window.daemons[1]!.stop();
  await assert.rejects(cluster.move(other), hasCode('device_lost'));
  assert.deepEqual([tilesOf(cluster, 1) > 0, cluster.ranks.length], [true, 1]);
  assert.equal(await window.logits(), expected);
  assert.deepEqual(
    cluster.health().map(({ state }) => state),
    ['ready'],
  );
  await window.daemons[0]!.stop();
  await assert.rejects(cluster.move(planFor(window, [1, 1, 0])), hasCode('device_lost'));
  await assert.rejects(window.logits(), hasCode('device_lost'));
});

test('a device that is not as it was measured is noticed while it serves, and what it computes moves', async (t) => {
  const memory = { budget: 1e12, base: 0, threadBytes: 0 };
  const measured = new Map(
    IDS.map((id, d): [string, Measured] => {
      const common = { id, name: id, backend: 'native', threads: 1, computesLayers: d > 0, scratchBytes: 0, memory };
      const { profile, link } = nominalDevice(common, d === 0);
      const rates = { lone: 1e3, all: 1e3, wide: 60 };
      const slow = Object.fromEntries(Object.keys(profile.formats).map((format) => [format, rates]));
      return [id, { profile: d === 2 ? { ...profile, formats: slow, attention: rates } : profile, link }];
    }),
  );
  const { window, cluster, delivered } = await start(t, measured);
  const expected = await window.logits();
  const [quick, slow] = [tilesOf(cluster, 1), tilesOf(cluster, 2)];
  assert.ok(quick > 3 * slow && slow > 0, `${quick} and ${slow} tiles`);
  const begun = performance.now();
  const noticed = (): Drift | undefined => cluster.drifts().find(({ id }) => id === IDS[2]);
  for (let position = 0; noticed() === undefined; position = (position + 1) % 60) {
    assert.ok(performance.now() - begun < 60_000, 'nothing was noticed');
    await cluster.step([{ tokens: [1], position, pages: [0], logits: 1 }]);
  }
  assert.ok(noticed()!.compute < 0.5, 'it is quicker than it was said to be');
  // The other one becomes as slow as this one was said to be.
  cluster.correct([noticed()!, { id: IDS[1]!, name: 'device-0', compute: 1e4, networkMs: 0, disk: null }]);
  assert.equal(cluster.drifts().length, 0);
  const move = cluster.considerMove(1, 0);
  assert.ok(move?.pays, JSON.stringify(move));
  delivered();
  await cluster.move(move.plan);
  assert.equal(delivered(), move.bytes);
  assert.ok(tilesOf(cluster, 2) > 3 * tilesOf(cluster, 1));
  assert.equal(await window.logits(), expected);
});
