import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exponential } from '../../../../coordinator/generation/exponential.ts';

test('exponential is exp, to the last bits, wherever weights are', () => {
  let worst = 0;
  for (let x = 0; x > -700; x -= 0.001373) worst = Math.max(worst, Math.abs(exponential(x) / Math.exp(x) - 1));
  assert.ok(worst < 2 ** -51, `${worst}`);
  assert.equal(exponential(0), 1);
  assert.equal(exponential(-0), 1);
  assert.deepEqual([-746, Number.NEGATIVE_INFINITY, Number.NaN].map(exponential), [0, 0, 0]);
  assert.ok(exponential(-740) > 0);
});
