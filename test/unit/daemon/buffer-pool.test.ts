import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool } from '../../../daemon/buffer-pool.ts';

test('what was given back is used again, where its size is near', () => {
  const pool = new BufferPool(1000);
  const first = pool.take(100);
  assert.equal(first.length, 100);
  pool.give(first);
  const smaller = pool.take(50);
  assert.equal(smaller.buffer, first.buffer);
  assert.equal(smaller.length, 50);
  pool.give(smaller);
  assert.notEqual(pool.take(49).buffer, first.buffer, 'most of it would lie idle');
  assert.notEqual(pool.take(101).buffer, first.buffer);
  const again = pool.take(100);
  assert.equal(again.buffer, first.buffer);
  assert.notEqual(pool.take(100).buffer, first.buffer, 'it is taken');
});

test('it keeps no more than it may, and nothing after clear', () => {
  const pool = new BufferPool(250);
  const taken = [pool.take(100), pool.take(100), pool.take(100)] as const;
  for (const bytes of taken) pool.give(bytes);
  assert.equal(pool.take(100).buffer, taken[1].buffer);
  assert.equal(pool.take(100).buffer, taken[2].buffer);
  pool.give(taken[0]);
  pool.clear();
  assert.notEqual(pool.take(100).buffer, taken[0].buffer);
});
