import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addMeanSquare, normFactor } from '../../../../daemon/engine/mean-squares.ts';
import { Random } from '../../../fixtures/random.ts';

const LIMIT = 2 ** 48;
const EPS = 1e-6;

const valuesOf = (random: Random, count: number, size: number): Float32Array =>
  Float32Array.from({ length: count }, () => (random.unit() - 0.5) * size);

/** The sums of tiles that hold `count` values each. */
function sumsOf(values: Float32Array, count: number): Float64Array {
  const sums = new Float64Array(2);
  for (let first = 0; first < values.length; first += count) {
    assert.equal(addMeanSquare(values.subarray(first, first + count), values.length, LIMIT, sums), true);
  }
  return sums;
}

test('factors are those of f64, for values of any size', () => {
  const random = new Random(3);
  for (const size of [1e-6, 1e-3, 0.3, 20, 5000]) {
    const values = valuesOf(random, 512, size);
    const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    const expected = 1 / Math.sqrt(mean + EPS);
    const factor = normFactor(sumsOf(values, 32), EPS);
    assert.ok(Math.abs(factor - expected) <= 2 ** -23 * expected, `${size}: ${factor}, not ${expected}`);
  }
});

test('sums are integers, and the same in whatever order tiles are added', () => {
  const values = valuesOf(new Random(5), 256, 0.1);
  const parts = Array.from({ length: 8 }, (_, i) => {
    const part = new Float64Array(2);
    assert.equal(addMeanSquare(values.subarray(i * 32, (i + 1) * 32), values.length, LIMIT, part), true);
    return part;
  });
  const added = (order: readonly Float64Array[]): number[] =>
    [0, 1].map((i) => order.reduce((sum, part) => sum + part[i]!, 0));
  assert.deepEqual(added(parts), [...sumsOf(values, 32)]);
  assert.deepEqual(added(parts.toReversed()), [...sumsOf(values, 32)]);
  assert.ok(parts.every((part) => part.every(Number.isInteger) && part[1] !== 0));
});

test('values that are not finite, or too large for exact sums, are refused', () => {
  const refused = (value: number, limit = LIMIT): boolean =>
    !addMeanSquare(Float32Array.of(value, 1), 2, limit, new Float64Array(2));
  assert.ok(refused(Number.NaN) && refused(Infinity) && refused(-Infinity) && refused(2 ** 100));
  assert.equal(refused(4, 2 ** 24 * 8.5), false);
  assert.equal(refused(4, 2 ** 24 * 8.4), true);
});
