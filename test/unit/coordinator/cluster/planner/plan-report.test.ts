import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alternatives } from '../../../../../coordinator/cluster/planner/alternatives.ts';
import { plan } from '../../../../../coordinator/cluster/planner/plan.ts';
import { planReport } from '../../../../../coordinator/cluster/planner/plan-report.ts';
import type { PlannedDevice } from '../../../../../coordinator/cluster/planner/planned-device.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { tileBytes } from '../../../../../daemon/tile/tile.ts';
import { MODEL_SHAPES } from '../../../../../scripts/model-shapes.ts';
import { device, plannedModel, WISHES } from '../../../../fixtures/planning-cases.ts';

const model = plannedModel({ ...MODEL_SHAPES['tinyllama-1.1b'], layers: 2, vocabSize: 2048 });
const weights = model.tiles.reduce((sum, tile) => sum + tileBytes(tile), 0);
const of = { model: 'planned', ...model, wishes: WISHES };
const [own, near, far] = [device('own'), device('near'), device('far', { roundTrip: 60 })];

const alternativesOf = (devices: readonly PlannedDevice[]) => {
  const chosen = plan(model.tiles, model.engine, devices, WISHES);
  return alternatives(model.tiles, model.engine, devices, WISHES, chosen);
};

test('alternatives are all devices, each alone, and all but each that was chosen', () => {
  const found = alternativesOf([own, near, far]);
  assert.deepEqual(
    found.map(({ kind, devices, without }) => [kind, devices.map(({ id }) => id).join(), without?.id ?? '']),
    [
      ['all', 'own,near,far', ''],
      ['alone', 'own', ''],
      ['alone', 'near', ''],
      ['alone', 'far', ''],
      ['without', 'near,far', 'own'],
      ['without', 'own,far', 'near'],
    ],
  );
  // As if it were not there.
  assert.deepEqual(found.at(-1)?.outcome, plan(model.tiles, model.engine, [own, far], WISHES).predicted);
  assert.equal(alternativesOf([own]).length, 1);
  assert.equal(alternativesOf([own, near]).length, 3);
  // A serving device that is busy computes no layers in any.
  const without = alternativesOf([device('own', { layers: false }), near, far]);
  assert.deepEqual(
    without.map(({ devices }) => devices.map(({ id }) => id).join()),
    ['near,far', 'near', 'far'],
  );
});

test('a report tells of each device what it holds and takes, and who is left out', () => {
  const { report, error } = planReport({ ...of, devices: [own, near, far] });
  assert.equal(error, null);
  const chosen = report.plan!;
  assert.deepEqual(
    chosen.devices.map(({ id }) => id),
    ['own', 'near'],
  );
  const all = chosen.devices.reduce((sum, { share }) => sum + share, 0);
  assert.ok(Math.abs(all - 1) < 1e-9, `shares are ${all} together`);
  for (const { memory_bytes, share, read_bytes, disk_ms, compute_ms } of chosen.devices) {
    assert.ok(memory_bytes > 0.9 * share * weights, 'all of its share is in memory');
    assert.deepEqual([read_bytes, disk_ms], [0, 0]);
    assert.ok(compute_ms > 0 && compute_ms < chosen.token_ms, `${compute_ms}`);
  }
  assert.deepEqual(
    chosen.left_out.map(({ id, reason }) => [id, reason]),
    [['far', 'slower']],
  );
  assert.ok(chosen.left_out[0]!.token_ms! > 2 * chosen.token_ms);
  const titles = Object.fromEntries(report.alternatives.map(({ title, times }) => [title, times?.token_ms]));
  assert.ok(titles['own alone']! > chosen.token_ms && titles['near alone']! > chosen.token_ms);
  assert.ok(titles['all devices']! > 60, 'a far device makes it slow');
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

test('what is read for a token is what its disk gives in that time', () => {
  const small = device('own', { memory: weights / 2, disk: 1e5 });
  const [only] = planReport({ ...of, devices: [small] }).report.plan!.devices;
  assert.ok(only!.memory_bytes <= only!.budget_bytes && only!.budget_bytes === small.profile.memory.budget);
  assert.ok(only!.read_bytes > 0.4 * weights, `${only!.read_bytes}`);
  assert.ok(Math.abs(only!.disk_ms * 1e5 - only!.read_bytes) <= 1);
});

test('where no devices can hold the model, each alternative says what is lacking', () => {
  const small = [device('own', { memory: 1e5 }), device('near', { memory: 1e5 })];
  const { report, error } = planReport({ ...of, devices: small });
  assert.ok(error instanceof StarlingError && error.code === 'memory_too_small');
  assert.equal(report.plan, null);
  assert.deepEqual(
    report.alternatives.map(({ title, times, why }) => [title, times, /\d+ MB/.test(why ?? '')]),
    [
      ['all devices', null, true],
      ['own alone', null, true],
      ['near alone', null, true],
    ],
  );
});

test('one device alone is not said to be bound by a network', () => {
  const quick = device('own', { speed: 1000 });
  assert.equal(planReport({ ...of, devices: [quick] }).report.plan?.binding, 'compute');
});
