import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Batch,
  batchSchema,
  begun,
  cancelling,
  ended,
  failed,
  finalizing,
  hasEnded,
  newBatch,
  nextBatches,
  windowHours,
} from '../../../../coordinator/batches/batch.ts';
import { page } from '../../../../coordinator/batches/bodies.ts';
import { byAge, isId, newId } from '../../../../coordinator/batches/ids.ts';

const RESULT = { outputFileId: 'file-1', errorFileId: null, counts: { total: 2, completed: 2, failed: 0 } };
const fresh = (owner: string | null = null, createdAt = 100): Batch =>
  newBatch(
    { owner, endpoint: '/v1/completions', inputFileId: 'file-0', completionWindow: '24h', metadata: { a: 'b' } },
    24,
    createdAt,
  );

test('a batch goes from state to state, each with its time', () => {
  const start = fresh();
  assert.equal(start.expiresAt, 100 + 86_400);
  const running = begun(start, 2, 101);
  const done = ended(finalizing(running, 102), RESULT, 103);
  assert.deepEqual(
    [running.status, running.inProgressAt, running.counts.total, done.finalizingAt, done.status, done.completedAt],
    ['in_progress', 101, 2, 102, 'completed', 103],
  );
  assert.equal(done.outputFileId, 'file-1');
  assert.deepEqual(batchSchema.parse(JSON.parse(JSON.stringify(done))), done);
  const expired = ended(running, RESULT, 104);
  assert.deepEqual([expired.status, expired.expiredAt], ['expired', 104]);
  const wrong = failed(start, [{ code: 'empty_file', message: 'm', param: null, line: null }], 105);
  assert.deepEqual([wrong.status, wrong.failedAt, wrong.faults.length], ['failed', 105, 1]);
});

test('whoever cancels first, wins; what comes too late changes nothing', () => {
  const cancelled = cancelling(fresh(), 101);
  assert.equal(begun(cancelled, 2, 102), cancelled);
  assert.equal(finalizing(cancelled, 102), cancelled);
  assert.equal(failed(cancelled, [], 102), cancelled);
  const end = ended(cancelled, RESULT, 103);
  assert.deepEqual([end.status, end.cancellingAt, end.cancelledAt], ['cancelled', 101, 103]);
  const late = finalizing(begun(fresh(), 2, 101), 102);
  assert.equal(cancelling(late, 103), late);
  assert.deepEqual([fresh(), late, cancelled, end].map(hasEnded), [false, false, false, true]);
});

test('of each owner the oldest is next; what only has to end does not wait for it', () => {
  const [a1, a2, b1, c1] = ['a', 'a', 'b', 'c'].map((owner) => begun(fresh(owner), 1, 101)) as [
    Batch,
    Batch,
    Batch,
    Batch,
  ];
  const ids = (batches: readonly Batch[], now: number) => nextBatches(batches, now).map(({ id }) => id);
  assert.deepEqual(ids([a1, a2, b1], 102), [a1.id, b1.id]);
  assert.deepEqual(ids([a1, cancelling(a2, 101), b1], 102), [a1.id, a2.id, b1.id]);
  assert.deepEqual(ids([ended(finalizing(a1, 102), RESULT, 103), a2], 104), [a2.id]);
  assert.deepEqual(ids([fresh('a'), a2], 102), [a2.id]);
  assert.deepEqual(ids([c1, { ...c1, id: newId('batch'), expiresAt: 110 }], 110).length, 2);
});

test('completion windows', () => {
  assert.deepEqual(['24h', '1h', '168h'].map(windowHours), [24, 1, 168]);
  for (const wrong of ['', '24', '0h', '169h', '-1h', '1.5h', '24H', '024h', ' 24h', '1d'])
    assert.equal(windowHours(wrong), null);
});

test('only what was given out as an id is one', () => {
  for (const kind of ['file', 'batch', 'request'] as const) assert.ok(isId(kind, newId(kind)));
  const id = newId('file');
  for (const text of ['', '../x', 'file-', `${id}/..`, id.toUpperCase(), `${id}0`, `${id}\n`, id.slice(0, -1)]) {
    assert.equal(isId('file', text), false, text);
  }
  assert.equal(isId('batch', id), false);
  const given = Array.from({ length: 100 }, () => ({ id: newId('file') }));
  assert.deepEqual([...given].sort(byAge), given);
});

test('lists come in pages', () => {
  const items = ['e', 'd', 'c', 'b', 'a'].map((id) => ({ id }));
  assert.deepEqual(page(items, null, 2), {
    object: 'list',
    data: items.slice(0, 2),
    first_id: 'e',
    last_id: 'd',
    has_more: true,
  });
  assert.deepEqual(page(items, 'd', 3), {
    object: 'list',
    data: items.slice(2),
    first_id: 'c',
    last_id: 'a',
    has_more: false,
  });
  assert.deepEqual(page([], null, 2), { object: 'list', data: [], first_id: '', last_id: '', has_more: false });
});
