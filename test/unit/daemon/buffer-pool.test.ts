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

test('it holds no more than it may, in use or not, and keeps nothing after clear', () => {
  const pool = new BufferPool(250);
  const taken = [pool.take(100), pool.take(100), pool.take(100)] as const;
  for (const bytes of taken) pool.give(bytes);
  const [third, second] = [pool.take(100), pool.take(100)];
  assert.equal(third.buffer, taken[2].buffer);
  assert.equal(second.buffer, taken[1].buffer, 'the one that was given back first was let go');
  pool.give(second);
  const other = pool.take(51);
  assert.equal(other.buffer, second.buffer);
  pool.give(other);
  pool.take(250);
  assert.notEqual(pool.take(100).buffer, second.buffer, 'it made way for a larger one');
  pool.give(third);
  pool.clear();
  assert.notEqual(pool.take(100).buffer, third.buffer);
});
