import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Account } from '../../../../coordinator/cluster/accounting.ts';
import { corrected, DriftWatch, driftText } from '../../../../coordinator/cluster/drift.ts';
import { type Plan, plan, predictAgain } from '../../../../coordinator/cluster/planner/plan.ts';
import type { PlanningInput } from '../../../../coordinator/cluster/replan.ts';
import { MODEL_SHAPES } from '../../../../scripts/model-shapes.ts';
import { device, plannedModel, WISHES } from '../../../fixtures/planning-cases.ts';

const input: PlanningInput = {
  ...plannedModel({ ...MODEL_SHAPES.tiny, dim: 256, headDim: 64, ffDim: 65536 }),
  devices: [device('own'), device('kitchen', { roundTrip: 0.1 })],
  wishes: { ...WISHES, use: 'all' },
};
const running = plan(input.tiles, input.engine, input.devices, input.wishes);

interface Factors {
  readonly compute?: number;
  readonly networkMs?: number;
  readonly bytesRead?: number;
  readonly diskMs?: number;
}

/** A step of which each device takes what is expected, but the kitchen. */
function step({ compute = 1, networkMs = 0, bytesRead = 0, diskMs = 0 }: Factors, of: Plan = running): Account {
  const { tokenMs, devices } = of.predicted;
  return {
    steps: 1,
    ms: tokenMs,
    critical: { compute: 0, disk: 0, network: 0 },
    devices: devices.map((each) => {
      const isKitchen = each.id === 'kitchen';
      return {
        ...{ id: each.id, name: each.name },
        computeMs: each.computeMs * (isKitchen ? compute : 1),
        networkMs: each.networkMs + (isKitchen ? networkMs : 0),
        diskMs: isKitchen ? diskMs : 0,
        bytesRead: isKitchen ? bytesRead : 0,
      };
    }),
  };
}

function take(watch: DriftWatch, account: Account, steps: number, rows = 1): void {
  for (let i = 0; i < steps; i++) watch.observe(account, rows);
}

const { tokenMs } = running.predicted;
/** Steps after which a difference has lasted. */
const LONG = Math.ceil(10_000 / tokenMs) + 31;

test('devices that are as planned do not drift, nor do those that differ a little', () => {
  const watch = new DriftWatch(input, running);
  take(watch, step({}), LONG);
  take(watch, step({ compute: 1.2, networkMs: 0.01 * tokenMs }), LONG);
  assert.equal(watch.drifts.length, 0);
});

test('a device that computes slowly for long has drifted; one that did for a moment, or in wide steps, has not', () => {
  const watch = new DriftWatch(input, running);
  const slow = step({ compute: 2 });
  take(watch, step({}), 40);
  take(watch, slow, 12);
  take(watch, step({}), 40);
  take(watch, slow, LONG, 8);
  take(watch, slow, 40);
  assert.equal(watch.drifts.length, 0, 'not for long yet');
  take(watch, slow, LONG);
  const [drift, ...others] = watch.drifts;
  assert.deepEqual(others, []);
  assert.deepEqual([drift?.id, drift?.networkMs, drift?.disk], ['kitchen', 0, null]);
  assert.ok(Math.abs(drift!.compute - 2) < 1e-9);
  assert.equal(driftText(drift!), 'kitchen now computes at 0.50 of what was measured');
});

test('a device that is corrected is expected to take what it took', () => {
  const watch = new DriftWatch(input, running);
  const changed = step({ compute: 3, networkMs: tokenMs });
  take(watch, changed, LONG);
  const [drift] = watch.drifts;
  const phases = running.division.filter((counts) => counts[1]! > 0).length;
  const devices = input.devices.map((each) => (each.id === 'kitchen' ? corrected(each, drift!, phases) : each));
  const now = { ...input, devices };
  const expected = predictAgain(now.tiles, now.engine, devices, now.wishes, running)!.devices[1]!;
  const [, taken] = changed.devices;
  assert.ok(Math.abs(expected.computeMs - taken!.computeMs) < 0.01 * taken!.computeMs);
  assert.ok(Math.abs(expected.networkMs - taken!.networkMs) < 0.01 * taken!.networkMs);
  watch.expect(now, running);
  take(watch, changed, LONG);
  assert.equal(watch.drifts.length, 0);
  take(watch, step({}), LONG);
  assert.ok(watch.drifts[0]!.compute < 0.4, 'it is as fast as before');
});

test('a disk counts where it is waited for', () => {
  const watch = new DriftWatch(input, running);
  take(watch, step({ bytesRead: 2e5 * tokenMs, diskMs: 0.01 * tokenMs }), LONG);
  assert.equal(watch.drifts.length, 0);
  take(watch, step({ bytesRead: 2e5 * tokenMs, diskMs: 0.5 * tokenMs }), LONG);
  const [drift] = watch.drifts;
  assert.equal(Math.round(drift!.disk!), 2e5);
  assert.equal(corrected(input.devices[1]!, drift!, 1).profile.disk, drift!.disk);
  assert.equal(driftText(drift!), 'kitchen now reads 200 MB a second from its disk');
});
