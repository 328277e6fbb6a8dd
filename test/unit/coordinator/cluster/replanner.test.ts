import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Drift } from '../../../../coordinator/cluster/drift.ts';
import type { Plan } from '../../../../coordinator/cluster/planner/plan.ts';
import type { Move } from '../../../../coordinator/cluster/replan.ts';
import { Replanner } from '../../../../coordinator/cluster/replanner.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { recordedLog } from '../../../fixtures/log-recorder.ts';

const SLOW: Drift = { id: 'k', name: 'kitchen', compute: 2, networkMs: 0, disk: null };
const MOVE: Move = {
  ...{ plan: {} as Plan, nowMs: 120, thenMs: 80, bytes: 120e6, costMs: 4000, paysAfterMs: 40_000, pays: true },
};
const MINUTE = 60_000;

/** A cluster of which the test says what it finds. */
function home() {
  const state = {
    ...{ clock: 0, ms: 0, drifts: [] as Drift[], move: MOVE as Move | null, running: 0 },
    error: null as StarlingError | null,
    /** How busy it was said to be when a move was considered. */
    considered: [] as number[],
    corrected: 0,
    moved: 0,
  };
  const { log, lines: logged } = recordedLog();
  const lines = (): string[] => logged.map((line) => JSON.parse(line).msg);
  const replanner = new Replanner({
    cluster: {
      drifts: () => state.drifts,
      correct: () => {
        state.corrected++;
        state.drifts = [];
      },
      considerMove: (busy) => {
        state.considered.push(busy);
        return state.move;
      },
      move: async () => {
        if (state.error !== null) throw state.error;
        state.moved++;
      },
      account: () => ({ ms: state.ms }),
    },
    texts: {
      get load() {
        return { waiting: 0, running: state.running };
      },
      rebuild: (work) => work(),
    },
    log,
    now: () => state.clock,
  });
  const look = async (passed: number, busyMs = 0): Promise<void> => {
    state.clock += passed;
    state.ms += busyMs;
    await replanner.look();
  };
  return { state, look, lines };
}

test('a device that drifted is corrected and relieved, when it is quiet', async () => {
  const { state, look, lines } = home();
  await look(0);
  state.drifts = [SLOW];
  state.running = 1;
  await look(MINUTE, MINUTE / 4);
  assert.deepEqual([state.corrected, state.considered], [1, []]);
  state.running = 0;
  await look(MINUTE, MINUTE / 4);
  assert.deepEqual([state.considered, state.moved], [[0.25], 1]);
  assert.deepEqual(lines(), [
    'kitchen now computes at 0.50 of what was measured',
    'moving 120 MB would make a token 80 ms instead of 120 ms; it takes about 4 s and pays within 40 s: moving',
    'moved in 0.0 s',
  ]);
  await look(MINUTE);
  assert.equal(state.moved, 1);
});

test('what does not pay is considered again, ever less often; what is no better is not', async () => {
  const { state, look } = home();
  state.move = { ...MOVE, pays: false };
  state.drifts = [SLOW];
  for (let minute = 0; minute < 31; minute++) await look(MINUTE);
  assert.equal(state.considered.length, 5, 'after 0, 2, 6, 14 and 30 minutes');
  state.move = null;
  for (let minute = 0; minute < 200; minute++) await look(MINUTE);
  assert.deepEqual([state.considered.length, state.moved], [6, 0]);
});

test('tiles do not go to and fro', async () => {
  const { state, look } = home();
  for (let minute = 0; minute < 31; minute++) {
    state.drifts = [SLOW];
    await look(MINUTE);
  }
  assert.equal(state.moved, 5);
  await look(150 * MINUTE);
  state.drifts = [SLOW];
  await look(0);
  state.drifts = [SLOW];
  await look(2 * MINUTE);
  assert.equal(state.moved, 7, 'after a calm time it is as in the beginning');
});

test('who is never idle is interrupted after ten minutes; a move that fails is told, and tried again later', async () => {
  const { state, look, lines } = home();
  state.drifts = [SLOW];
  state.running = 1;
  state.error = new StarlingError('device_busy', 'attic works for another');
  for (let minute = 0; minute < 10; minute++) await look(MINUTE);
  assert.equal(state.considered.length, 0);
  await look(MINUTE);
  assert.equal(lines().at(-1), 'the tiles could not be moved: attic works for another');
  state.error = null;
  await look(2 * MINUTE);
  assert.equal(state.moved, 1);
});
