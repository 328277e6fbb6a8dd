import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenTimes } from '../../../../coordinator/cluster/token-times.ts';

/** @returns what was told, and after how many steps */
function observe(times: TokenTimes, steps: number, ms: number, rows = 1): [step: number, told: number][] {
  return Array.from({ length: steps }, (_, step): [number, number | null] => {
    times.observe(rows, ms);
    return [step + 1, times.news()];
  }).filter((each): each is [number, number] => each[1] !== null);
}

test('a token takes the middle of the latest steps that have as many rows as were planned for', () => {
  const times = new TokenTimes(2);
  observe(times, 4, 10, 2);
  assert.equal(times.ms, null);
  observe(times, 50, 1, 1);
  assert.equal(times.ms, null);
  observe(times, 1, 500, 2);
  assert.equal(times.ms, 10);
  observe(times, 31, 20, 2);
  assert.equal(times.ms, 20);
});

test('it is told once, and again only when it has changed by more than a fifth', () => {
  const times = new TokenTimes(1);
  assert.deepEqual(observe(times, 100, 10), [[31, 10]]);
  assert.deepEqual(observe(times, 200, 11.9), []);
  assert.equal(observe(times, 100, 12.1).length, 1);
  assert.equal(observe(times, 100, 9.9).length, 1);
});
