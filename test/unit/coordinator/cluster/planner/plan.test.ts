import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deviceMemory } from '../../../../../coordinator/cluster/planner/device-memory.ts';
import { FIRST_TOKEN_FACTOR } from '../../../../../coordinator/cluster/planner/fastest.ts';
import { type Plan, type PlanWishes, plan } from '../../../../../coordinator/cluster/planner/plan.ts';
import type { PlannedDevice } from '../../../../../coordinator/cluster/planner/planned-device.ts';
import { checkLoad } from '../../../../../daemon/engine/check-load.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { type TileShape, tileName } from '../../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import {
  bruteForce,
  device,
  homeDevices,
  type PlannedModel,
  plannedModel,
  smallCase,
  WISHES,
} from '../../../../fixtures/planning-cases.ts';
import { Random } from '../../../../fixtures/random.ts';

const TINYLLAMA = plannedModel(MODEL_SHAPES['tinyllama-1.1b']);
const LLAMA_8B = plannedModel(MODEL_SHAPES['llama-3.1-8b']);

const planOf = (
  { tiles, engine }: PlannedModel,
  devices: readonly PlannedDevice[],
  wishes: Partial<PlanWishes> = {},
  previous?: Plan,
): Plan => plan(tiles, engine, devices, { ...WISHES, ...wishes }, previous);
const kindsOf = (share: readonly TileShape[] | undefined): string[] => [
  ...new Set((share ?? []).map(({ kind }) => kind)),
];
const whyOf = (found: Plan, id: string): string => found.leftOut.find((each) => each.id === id)?.why ?? '';

describe('a plan', () => {
  it('is within a twentieth of the best of all divisions', () => {
    for (let seed = 0; seed < 100; seed++) {
      const small = smallCase(new Random(seed));
      const best = bruteForce(small, WISHES);
      if (best === null) continue;
      const { predicted } = planOf(small, small.devices);
      assert.ok(predicted.tokenMs <= 1.05 * best.tokenMs, `${seed}: ${predicted.tokenMs} ms, ${best.tokenMs} would do`);
    }
  });

  it('has every tile once, in shares that devices take, whoever they are', () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = new Random(seed);
      const model = random.chance(0.8) ? TINYLLAMA : LLAMA_8B;
      const devices = homeDevices(random, model, random.between(1, 12));
      const { shares, kvPages, leftOut, predicted } = planOf(model, devices);
      const spec = { ...model.engine, kvPages };
      const given = [...shares.values()].flat().filter(({ kind }) => kind !== 'kv');
      const wanted = model.tiles.filter(({ kind }) => kind !== 'kv');
      assert.deepEqual(given.map(tileName).sort(), wanted.map(tileName).sort(), `${seed}`);
      for (const [d, each] of devices.entries()) {
        const share = shares.get(each.id)!;
        checkLoad(spec, share);
        assert.ok(!(deviceMemory(each, spec, share) instanceof StarlingError), `${seed}: ${each.id}`);
        const why = leftOut.find(({ id }) => id === each.id);
        assert.equal(why !== undefined, share.length === 0 && each.link !== null, `${seed}: ${each.id}`);
        assert.equal(predicted.devices[d]!.memory.tiles, share.length);
      }
    }
  });

  it('is never slower than the quickest device that may hold the model alone', () => {
    for (let seed = 20; seed < 32; seed++) {
      const random = new Random(seed);
      const devices = homeDevices(random, TINYLLAMA, random.between(2, 8));
      const { predicted } = planOf(TINYLLAMA, devices);
      for (const each of devices.filter(({ link, computesLayers }) => link === null && computesLayers)) {
        const alone = planOf(TINYLLAMA, [each]);
        assert.ok(predicted.tokenMs <= alone.predicted.tokenMs * (1 + 1e-9), `${seed}: ${each.id} alone is quicker`);
      }
    }
  });

  it('leaves out a device with a tenth of the speed, and says what it would cost', () => {
    const devices = [device('own'), device('quick'), device('slow', { speed: 0.1 })];
    const found = planOf(TINYLLAMA, devices);
    assert.equal(found.shares.get('slow')!.length, 0);
    const [left] = found.leftOut;
    assert.deepEqual([found.leftOut.length, left!.id, left!.reason], [1, 'slow', 'slower']);
    assert.ok(left!.tokenMs! > found.predicted.tokenMs);
    assert.match(left!.why, /^slow is left out: with it a token would take \d.* instead of \d.* ms$/);
  });

  it('leaves out a device behind Wi-Fi of 60 ms, unless all are to be used', () => {
    const devices = [device('own'), device('far', { speed: 40, roundTrip: 60 })];
    const found = planOf(TINYLLAMA, devices);
    assert.equal(found.shares.get('far')!.length, 0);
    // A round trip for each of 44 phases.
    assert.ok(found.leftOut[0]!.tokenMs! > 44 * 60);
    const all = planOf(TINYLLAMA, devices, { use: 'all' });
    assert.ok(all.shares.get('far')!.length > 44);
    assert.deepEqual(all.leftOut, []);
  });

  it('uses what is slow or far where the model has no room otherwise', () => {
    const memory = 4e8;
    const devices = [device('own', { memory, disk: 1e4 }), device('far', { roundTrip: 5 })];
    assert.ok(planOf(TINYLLAMA, devices).shares.get('far')!.length > 0);
  });

  it('gives no attention to who has no room for a cache of keys and values', () => {
    // A key/value head of one layer takes 67 MB of cache for that context.
    const small = device('small', { speed: 40, roundTrip: 0.05, memory: 60e6 });
    const found = planOf(LLAMA_8B, [device('own', { speed: 1 }), small], { context: 131_072, head: 'local' });
    assert.deepEqual(kindsOf(found.shares.get('small')), ['ffn']);
    const none = planOf(TINYLLAMA, [device('own'), device('tiny', { memory: 1e6 })]);
    assert.equal(none.leftOut[0]!.reason, 'memory');
    assert.match(whyOf(none, 'tiny'), /its 1 MB of memory are too little/);
  });

  it('divides four key/value heads among five devices, and a phase among more devices than it has tiles', () => {
    const equal = (count: number): PlannedDevice[] =>
      Array.from({ length: count }, (_, d) => device(d === 0 ? 'own' : `${d}`, { speed: 0.5, roundTrip: 0.05 }));
    const five = planOf(TINYLLAMA, equal(5), { use: 'all' });
    assert.ok(equal(5).every(({ id }) => kindsOf(five.shares.get(id)).includes('attention')));
    const many = planOf(plannedModel({ ...MODEL_SHAPES.tiny, layers: 1 }), equal(24), { use: 'all' });
    assert.equal([...many.shares.values()].flat().filter(({ kind }) => kind === 'attention').length, 2);
  });

  it('keeps a device that another serve has to what it may: the head', () => {
    const own = device('own', { layers: false, speed: 40 });
    const found = planOf(TINYLLAMA, [own, device('a'), device('b', { layers: false })]);
    assert.deepEqual(kindsOf(found.shares.get('own')), ['head']);
    assert.deepEqual(kindsOf(found.shares.get('b')), []);
    assert.match(whyOf(found, 'b'), /another "starling serve" uses it/);
    // Who is alone computes all of it.
    assert.equal(planOf(TINYLLAMA, [own]).shares.get('own')!.length, TINYLLAMA.tiles.length);
  });

  it('computes the head where that is wished, or where it is quicker', () => {
    const two = [device('own'), device('a', { roundTrip: 0.1 })];
    assert.equal(planOf(TINYLLAMA, two).head, 'shared');
    const local = planOf(TINYLLAMA, two, { head: 'local' });
    assert.deepEqual([local.head, kindsOf(local.shares.get('a')).includes('head')], ['local', false]);
    const far = [device('own'), device('a', { roundTrip: 20 })];
    assert.equal(planOf(TINYLLAMA, far).head, 'local');
    assert.equal(planOf(TINYLLAMA, far, { head: 'shared' }).head, 'shared');
  });

  it('does not make the first token wait for a token that is little quicker', () => {
    // Its answers to one row are quick, those to 64 rows are not.
    const devices = [device('own'), device('narrow', { speed: 20, roundTrip: 0.05, bandwidth: 2e3 })];
    const { predicted } = planOf(TINYLLAMA, devices);
    const alone = planOf(TINYLLAMA, devices.slice(0, 1)).predicted;
    assert.ok(predicted.promptMs <= FIRST_TOKEN_FACTOR * alone.promptMs);
  });

  it('is an error where nobody has room, which says how much would do', () => {
    assert.throws(
      () => planOf(TINYLLAMA, [device('own', { memory: 1e6 })]),
      (error) => error instanceof StarlingError && error.code === 'memory_too_small' && /^own: /.test(error.message),
    );
  });
});

describe('a plan that runs', () => {
  const devices = [device('own'), device('a'), device('b', { speed: 9 })];
  const before = planOf(TINYLLAMA, devices);

  it('is kept where another is little better', () => {
    const again = devices.map((each) => (each.id === 'b' ? device('b', { speed: 9.1 }) : each));
    assert.deepEqual(planOf(TINYLLAMA, again, {}, before).division, before.division);
  });

  it('is kept when a device comes that helps little, or goes that had nothing', () => {
    const slow = device('slow', { speed: 0.1 });
    const joined = planOf(TINYLLAMA, [...devices, slow], {}, before);
    assert.deepEqual([...joined.shares].slice(0, 3), [...before.shares]);
    assert.equal(joined.leftOut[0]!.id, 'slow');
    assert.deepEqual(planOf(TINYLLAMA, devices, {}, joined).shares, before.shares);
  });

  it('gives way to one that is clearly better, or when a device is gone that had a share', () => {
    const joined = planOf(TINYLLAMA, [...devices, device('c', { speed: 20 })], {}, before);
    assert.ok(joined.shares.get('c')!.length > 0);
    assert.ok(joined.predicted.tokenMs < 0.97 * before.predicted.tokenMs);
    const left = planOf(TINYLLAMA, devices.slice(0, 2), {}, before);
    assert.deepEqual([...left.shares.keys()], ['own', 'a']);
  });
});
