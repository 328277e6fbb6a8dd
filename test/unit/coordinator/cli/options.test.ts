import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveMemory, size } from '../../../../coordinator/cli/options.ts';

test('sizes are read in powers of ten and of two', () => {
  const read = size(0, 1e15);
  const sizes = { '1600MB': 1.6e9, '2GB': 2e9, '1.5GiB': 1.5 * 2 ** 30, '7 kB': 7000, '3TB': 3e12, '12345': 12_345 };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(read(text), bytes, text);
});

test('what is no size, or none that makes sense, is refused', () => {
  const read = size(1e6, 1e12);
  for (const text of ['', '2', 'GB', '2XB', '-1GB', '1e9', '2GB ', '999kB', '2TB', 'NaN', 'Infinity', '0x10']) {
    assert.throws(() => read(text), /a size such as/, text);
  }
});

test('devices on one machine share what is free, and each gets what is asked for', () => {
  assert.equal(resolveMemory({ memory: 5e8, logLevel: 'warn' }, 4), 5e8);
  const [one, four] = [1, 4].map((devices) => resolveMemory({ logLevel: 'warn' }, devices));
  assert.ok(four! > 0 && four! < one! / 3, `${four} of ${one}`);
});
