import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MergeQueue } from '../../../../../coordinator/model/tokenizer/merge-queue.ts';
import { random } from './random-text.ts';

test('entries come out by priority, then leftmost, beyond the first capacity', () => {
  const next = random(3);
  const queue = new MergeQueue(4);
  const expected: [number, number, number][] = [];
  for (let i = 0; i < 1000; i++) {
    const entry: [number, number, number] = [next(20) - 10.5, i, next(1000)];
    expected.push(entry);
  }
  for (const [priority, position, stamp] of [...expected].sort(() => next(2) - 0.5))
    queue.push(priority, position, stamp);
  expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  assert.equal(queue.size, 1000);
  for (const [, position, stamp] of expected) {
    assert.deepEqual([queue.position, queue.stamp], [position, stamp]);
    queue.pop();
  }
  assert.equal(queue.size, 0);
});

test('clear empties it', () => {
  const queue = new MergeQueue(0);
  queue.push(1, 2, 3);
  queue.clear();
  assert.equal(queue.size, 0);
  queue.push(5, 6, 7);
  assert.deepEqual([queue.size, queue.position, queue.stamp], [1, 6, 7]);
});
