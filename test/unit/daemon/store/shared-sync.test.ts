import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedSync } from '../../../../daemon/store/shared-sync.ts';

/** A sync whose runs the test ends. */
function controlled() {
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const sync = new SharedSync(() => new Promise((resolve, reject) => ends.push({ resolve, reject })));
  return { sync, ends };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all who ask during a run share the next one', async () => {
  const { sync, ends } = controlled();
  let served = 0;
  const first = sync.run();
  const later = [sync.run(), sync.run(), sync.run()].map((run) => run.then(() => served++));
  await turn();
  assert.equal(ends.length, 1);
  ends[0]!.resolve();
  await first;
  await turn();
  assert.equal(ends.length, 2);
  assert.equal(served, 0, 'the run that was under way did not count for them');
  ends[1]!.resolve();
  await Promise.all(later);
  assert.equal(served, 3);
  const last = sync.run();
  assert.equal(ends.length, 3);
  ends[2]!.resolve();
  await last;
});

test('a run that fails fails for those it was for, and the next goes ahead', async () => {
  const { sync, ends } = controlled();
  const first = sync.run();
  const second = sync.run();
  ends[0]!.reject(new Error('disk'));
  await assert.rejects(first, /disk/);
  await turn();
  ends[1]!.resolve();
  await second;
});
