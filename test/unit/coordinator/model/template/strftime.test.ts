import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strftime } from '../../../../../coordinator/model/template/strftime.ts';

test("Python's directives in the C locale", () => {
  const morning = new Date(2025, 6, 4, 0, 5, 9);
  assert.equal(strftime(morning, '%d %b %Y'), '04 Jul 2025');
  assert.equal(strftime(morning, '%A, %B %-d, %Y'), 'Friday, July 4, 2025');
  assert.equal(strftime(morning, '%a %e %y %H:%M:%S %I %p %j'), 'Fri  4 25 00:05:09 12 AM 185');
  assert.equal(strftime(new Date(2024, 11, 31, 15), '%Y-%m-%d %I%p %-I %j'), '2024-12-31 03PM 3 366');
  assert.equal(strftime(new Date(2025, 0, 1), '%j'), '001');
});

test('what is no directive stays', () => {
  assert.equal(strftime(new Date(2025, 0, 1), '100%% %Q %'), '100% %Q %');
});
