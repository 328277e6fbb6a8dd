import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHeartbeat } from '../../../../daemon/protocol/heartbeat.ts';

/** A heartbeat of 500 and 2000 ms on a clock that the test moves. */
function rig() {
  const state = { now: 0, bytes: 0, pings: 0, lost: [] as number[], late: [] as number[], cancelled: false };
  const deferred: (() => void)[] = [];
  let tick = (): void => {};
  const stop = startHeartbeat({
    intervalMs: 500,
    lostAfterMs: 2000,
    clock: {
      now: () => state.now,
      every: (_ms, step) => {
        tick = step;
        return () => {
          state.cancelled = true;
        };
      },
      afterInput: (step) => void deferred.push(step),
    },
    received: () => state.bytes,
    ping: () => void state.pings++,
    lost: (silentMs) => void state.lost.push(silentMs),
    late: (ms) => void state.late.push(ms),
  });
  const pass = (ms: number, inputMeanwhile = 0): void => {
    state.now += ms;
    tick();
    state.bytes += inputMeanwhile;
    for (const step of deferred.splice(0)) step();
  };
  return { state, stop, pass };
}

test('silence for the whole time is a loss, told once', () => {
  const { state, pass } = rig();
  pass(500);
  pass(500);
  pass(500);
  assert.deepEqual(state.lost, []);
  pass(500);
  assert.deepEqual(state.lost, [2000]);
  assert.equal(state.pings, 4);
  assert.equal(state.cancelled, true);
});

test('anything received starts the count anew', () => {
  const { state, pass } = rig();
  for (let i = 0; i < 20; i++) {
    if (i % 3 === 0) state.bytes++;
    pass(500);
  }
  assert.deepEqual(state.lost, []);
});

test('C13: time in which this process was not awake does not count, and is told', () => {
  const { state, pass } = rig();
  pass(500);
  pass(1400);
  assert.deepEqual(state.late, []);
  pass(600_000);
  assert.deepEqual(state.late, [599_500]);
  assert.deepEqual(state.lost, []);
  pass(500);
  assert.deepEqual(state.lost, [2000]);
});

test('input that piled up meanwhile is heard before the verdict', () => {
  const { state, pass } = rig();
  pass(500);
  pass(500);
  pass(500);
  pass(5000, 40);
  assert.deepEqual(state.lost, []);
  pass(500);
  assert.deepEqual(state.lost, []);
});

test('nothing is told after it was stopped', () => {
  const { state, stop, pass } = rig();
  pass(500);
  pass(500);
  pass(500);
  stop();
  pass(500);
  assert.deepEqual(state.lost, []);
  assert.equal(state.cancelled, true);
});
