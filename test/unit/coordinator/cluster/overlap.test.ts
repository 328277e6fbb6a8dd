import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OverlapControl, WHOLE_STEPS } from '../../../../coordinator/cluster/overlap.ts';
import { Random } from '../../../fixtures/random.ts';

/** Runs steps that take what `cost` says, times noise. @returns how many of them were halved */
function play(
  control: OverlapControl,
  steps: number,
  rows: () => number,
  cost: (rows: number, halved: boolean) => number,
  noise: () => number = () => 1,
): number {
  let halves = 0;
  for (let step = 0; step < steps; step++) {
    const count = rows();
    const halved = control.halves(count);
    if (halved) halves++;
    control.observe(count, halved, cost(count, halved) * noise());
  }
  return halves;
}

/**
 * Milliseconds of a step on devices that take `rowMs` for a row and no less than `leastMs`, behind a network of
 * `networkMs`.
 */
const stepCost =
  (leastMs: number, rowMs: number, networkMs: number) =>
  (rows: number, halved: boolean): number => {
    const compute = (count: number): number => leastMs + rowMs * count;
    if (!halved) return compute(rows) + networkMs;
    return Math.max(2 * compute(rows / 2), compute(rows / 2) + networkMs);
  };

test('halves are used where they are faster, for each size by itself', () => {
  const control = new OverlapControl();
  const cost = stepCost(20, 10, 50);
  for (const rows of [2, 4, 8]) play(control, 100, () => rows, cost);
  // Two rows: 90 ms whole, 80 in halves; what takes least there is to be what is done.
  for (const rows of [2, 4, 8]) assert.equal(control.halves(rows), cost(rows, true) < cost(rows, false), `${rows}`);
  const dear = stepCost(100, 1, 5);
  const without = new OverlapControl();
  for (const rows of [2, 8, 16, 64]) play(without, 100, () => rows, dear);
  assert.deepEqual(
    without.report().decisions,
    [2, 8, 16, 64].map((rows) => ({ rows, halved: false })),
  );
});

test('where halves are slower, looking for it costs little, and ever less', () => {
  const control = new OverlapControl();
  const cost = stepCost(50, 2, 5);
  const first = play(control, 1000, () => 8, cost);
  const later = play(control, 10_000, () => 8, cost);
  assert.ok(first >= 5 && first <= 20, `${first} of 1000`);
  assert.ok(later >= 5 && later <= 50, `${later} of 10000`);
  assert.equal(control.report().halvedSteps, first + later);
});

test('single steps that take long decide nothing', () => {
  const random = new Random(1);
  const control = new OverlapControl();
  const noise = (): number => (random.chance(0.1) ? 5 : 0.95 + 0.1 * random.unit());
  const halved = play(control, 3000, () => 8, stepCost(20, 5, 45), noise);
  assert.ok(halved > 2800, `${halved} of 3000`);
});

test('a network that changes is noticed, in both directions', () => {
  const control = new OverlapControl();
  const [slow, fast] = [stepCost(20, 5, 60), stepCost(20, 5, 1)];
  play(control, 50, () => 8, slow);
  assert.equal(control.halves(8), true);
  play(control, 800, () => 8, fast);
  assert.equal(control.report().decisions[0]?.halved, false);
  play(control, 1600, () => 8, slow);
  assert.equal(control.report().decisions[0]?.halved, true);
});

test('wider steps of like sizes share what is known, whatever their rows', () => {
  const random = new Random(2);
  const control = new OverlapControl();
  play(control, 400, () => random.between(9, 64), stepCost(20, 5, 100));
  assert.deepEqual(
    control.report().decisions,
    [16, 32, 64].map((rows) => ({ rows, halved: true })),
  );
  assert.equal(control.halves(8), false);
});

test('a step of one row is never halved, and teaches nothing', () => {
  const control = new OverlapControl();
  assert.equal(
    play(control, 100, () => 1, stepCost(1, 1, 100)),
    0,
  );
  assert.deepEqual(control.report(), { halvedSteps: 0, decisions: [] });
  assert.equal(WHOLE_STEPS.halves(64), false);
});
