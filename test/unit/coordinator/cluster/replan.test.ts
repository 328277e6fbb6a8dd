import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plan } from '../../../../coordinator/cluster/planner/plan.ts';
import { considerMove, movedShares, moveText, type PlanningInput } from '../../../../coordinator/cluster/replan.ts';
import { MODEL_SHAPES } from '../../../../scripts/model-shapes.ts';
import { type DeviceFields, device, plannedModel, WISHES } from '../../../fixtures/planning-cases.ts';

const model = plannedModel({ ...MODEL_SHAPES.tiny, dim: 256, headDim: 64, ffDim: 65536 });

const home = (kitchen: DeviceFields, attic: DeviceFields = {}): PlanningInput => ({
  ...model,
  devices: [
    device('own'),
    device('kitchen', { roundTrip: 0.1, ...kitchen }),
    device('attic', { roundTrip: 0.1, ...attic }),
  ],
  wishes: WISHES,
});

const quick = home({});
const running = plan(quick.tiles, quick.engine, quick.devices, quick.wishes);

test('a plan of devices that are as they were stays', () => {
  assert.equal(considerMove(quick, running, 1, 0), null);
});

test('a device that has become slow is relieved, where that pays within minutes', () => {
  const slow = home({ speed: 2 });
  const move = considerMove(slow, running, 0.5, 0)!;
  assert.ok(move.pays && move.thenMs < 0.8 * move.nowMs, JSON.stringify(move));
  assert.equal(move.plan.kvPages, running.kvPages);
  const tiles = (of: typeof running): number => of.shares.get('kitchen')!.length;
  assert.ok(tiles(move.plan) < tiles(running));
  assert.ok(move.bytes > 0 && move.paysAfterMs > 2 * move.costMs);
  assert.match(moveText(move), /^moving \d+ MB would make a token .* pays within \d+ s: moving$/);
  const idle = considerMove(slow, running, 1e-7, 0)!;
  assert.equal(idle.pays, false);
  assert.match(moveText(idle), /does not pay: staying$/);
  assert.equal(considerMove(slow, running, 0, 0)!.paysAfterMs, Number.POSITIVE_INFINITY);
});

test('texts under way and slow networks make a move dearer', () => {
  const slow = home({ speed: 2 });
  const alone = considerMove(slow, running, 1, 0)!;
  const others = considerMove(slow, running, 1, 3)!;
  assert.ok(Math.abs(others.costMs - alone.costMs - 3 * alone.plan.predicted.promptMs) < 1e-6);
  const far = considerMove(home({ speed: 2 }, { bandwidth: 10 }), running, 1, 0);
  assert.ok(far === null || far.costMs > alone.costMs || far.bytes < alone.bytes);
});

test('shares that are the same are not moved, unless caches change', () => {
  const slow = home({ speed: 2 });
  const { plan: other } = considerMove(slow, running, 1, 0)!;
  assert.deepEqual([...movedShares(running, running)], []);
  assert.ok(movedShares(running, other).has('kitchen'));
  assert.deepEqual(
    [...movedShares(running, { ...running, kvPages: running.kvPages + 1 })],
    ['own', 'kitchen', 'attic'],
  );
});
