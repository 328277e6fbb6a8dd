import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shortCount } from '../../../coordinator/model-facts.ts';

test('numbers of parameters are shown in short', () => {
  const counts = [512, 262_144, 3_344_320, 134_515_008, 1_235_814_432, 70_553_706_496, 405_853_388_800];
  assert.deepEqual(counts.map(shortCount), ['512', '262K', '3.3M', '135M', '1.2B', '71B', '406B']);
});
