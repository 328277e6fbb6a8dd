import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PlanRun } from '../../../scripts/check-plan-coordinator.ts';
import { type CheckedPlan, planText, verdictOf, verdictText } from '../../../scripts/plan-report.ts';
import { randomHome } from '../../../scripts/random-home.ts';
import { Random } from '../../fixtures/random.ts';

const TILES = 500e6;
const homes = (cores: number) => Array.from({ length: 200 }, (_, seed) => randomHome(new Random(seed), cores, TILES));

describe('random homes', () => {
  it('have one to four devices within what this machine can give', () => {
    for (const { serving, others, mbit } of homes(2)) {
      const all = [serving, ...others];
      for (const core of ['0', '1']) {
        const its = all.filter((device) => device.core === core).map(({ cpu }) => cpu);
        assert.ok(its.length < 2 || its.reduce((sum, cpu) => sum + cpu, 0) <= 0.92, its.join());
      }
      for (const { core, cpu, disk, memory } of all) {
        assert.ok(['0', '1'].includes(core) && cpu >= 0.1 && cpu <= 1, `${core} ${cpu}`);
        assert.ok(disk >= 50e6 && disk <= 1000e6 && memory > 250e6, `${disk} ${memory}`);
      }
      for (const { delayMs, mbit: own } of others) {
        assert.ok(delayMs >= 0 && delayMs <= 5 && own >= 10 && own <= 1000 && own <= mbit, `${delayMs} ${own}`);
      }
    }
  });

  it('differ, and are drawn again by their seed', () => {
    const drawn = homes(2);
    assert.deepEqual(drawn, homes(2));
    assert.deepEqual([...new Set(drawn.map(({ others }) => others.length))].sort(), [0, 1, 2, 3]);
    const holding = drawn.filter(({ serving }) => serving.memory > TILES * 1.05 + 250e6).length;
    assert.ok(holding > 50 && holding < 150, `${holding}`);
  });

  it('share a core where there is one only', () => {
    for (const { serving, others } of homes(1)) {
      assert.ok([serving, ...others].reduce((sum, { cpu }) => sum + cpu, 0) <= 1.01);
    }
  });
});

const [home] = homes(2) as [CheckedPlan['home']];
const times = { compute: 90, disk: 0, network: 10 };

function checked(seed: number, predictedMs: number, measuredMs: number, aloneMs: number | null): CheckedPlan {
  const devices = [{ name: 'device1', predicted: times, measured: times }];
  const run: PlanRun = { predictedMs, measuredMs, plan: 'all of it here', devices };
  return { seed, model: 'tiny', home, run, alone: aloneMs === null ? null : { device: 1, ms: aloneMs } };
}

describe('a verdict on plans', () => {
  it('passes those that come true, where no device alone is faster', () => {
    const verdict = verdictOf([checked(1, 100, 119, null), checked(2, 100, 81, 80)]);
    assert.deepEqual(verdict, { plans: 2, near: 2, worst: 0.81, slower: [], passed: true });
    assert.match(verdictText(verdict), /^2 of 2 within 20 % .* none; passed\n$/);
  });

  it('fails where one is off, either way, and names which is slower than a device alone', () => {
    const off = verdictOf([checked(1, 100, 130, null), checked(2, 100, 50, null), checked(3, 100, 100, 99)]);
    assert.deepEqual(off, { plans: 3, near: 1, worst: 0.5, slower: [], passed: false });
    const slower = verdictOf([checked(7, 100, 100, 90)]);
    assert.deepEqual(slower, { plans: 1, near: 1, worst: 1, slower: [7], passed: false });
    assert.match(verdictText(slower), /those of seeds 7; failed/);
  });

  it('is told with what was predicted and measured of each device', () => {
    const text = planText(checked(5, 100, 110, 130));
    assert.match(
      text,
      /^seed 5, tiny: predicted 100\.0 ms, measured 110\.0 ms, 1\.10 of it; device 1 alone 130\.0 ms;/,
    );
    assert.match(text, /device1: predicted computing 90\.0 ms, .* network 10\.0 ms; measured computing 90\.0 ms/);
  });
});
