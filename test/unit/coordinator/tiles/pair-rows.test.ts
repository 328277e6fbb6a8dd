import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairRows } from '../../../../coordinator/tiles/pair-rows.ts';

test('the halves of each head are put side by side, and what is not turned stays', () => {
  const rows = Uint8Array.from({ length: 2 * 8 * 2 }, (_, i) => i);
  pairRows(rows, 2, { headDim: 8, dims: 6 });
  const row = (i: number): number[] => [2 * i, 2 * i + 1];
  const head = [0, 3, 1, 4, 2, 5, 6, 7];
  assert.deepEqual([...rows], [...head, ...head.map((i) => i + 8)].flatMap(row));
});
