import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meanTime } from '../../../../daemon/profile/mean-time.ts';

/** Work whose runs take these times one after the other, then the last one again and again. */
function timedWork(times: readonly number[]): { work: () => Promise<void>; now: () => number; runs: () => number } {
  let [clock, runs] = [0, 0];
  return {
    work: async () => {
      clock += times[Math.min(runs++, times.length - 1)]!;
    },
    now: () => clock,
    runs: () => runs,
  };
}

test('it is the mean of all runs after the first, which warms up, until they have taken long enough', async () => {
  const { work, now, runs } = timedWork([90, 10, 30, 20, 40, 50]);
  assert.equal(await meanTime(work, { leastMs: 100, now }), 25);
  assert.equal(runs(), 5);
});

test('work that takes long by itself is done once', async () => {
  const { work, now, runs } = timedWork([200, 10]);
  assert.equal(await meanTime(work, { leastMs: 150, now }), 200);
  assert.equal(runs(), 1);
});

test('it ends between two runs when it is aborted', async () => {
  const abort = new AbortController();
  let runs = 0;
  const work = async (): Promise<void> => {
    if (++runs === 3) abort.abort();
  };
  await assert.rejects(meanTime(work, { leastMs: 1e9, signal: abort.signal }), { code: 'cancelled' });
  assert.equal(runs, 3);
});
