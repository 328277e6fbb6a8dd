import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Packr } from 'msgpackr';
import { isPlainMessagePack } from '../../../../daemon/protocol/plain-msgpack.ts';

const packr = new Packr({ useRecords: false });
const plain = (hex: string, depth = 8): boolean => isPlainMessagePack(Buffer.from(hex, 'hex'), depth);

test('what a packer writes for plain values passes, and every cut of it does not', () => {
  const value = {
    a: [1, -1, 200, 70_000, -70_000, 2 ** 40, 1.5, true, false, null],
    text: ['', 'x', 'y'.repeat(40), 'z'.repeat(300), 'ü'.repeat(40_000)],
    bin: [Buffer.alloc(3), Buffer.alloc(300), Buffer.alloc(70_000)],
    list: Array.from({ length: 20 }, (_, i) => i),
    map: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i])),
    empty: [{}, []],
  };
  const bytes = packr.pack(value);
  assert.equal(isPlainMessagePack(bytes, 8), true);
  for (let cut = 0; cut < bytes.length; cut += cut < 300 ? 1 : 997) {
    assert.equal(isPlainMessagePack(bytes.subarray(0, cut), 8), false, `cut at ${cut}`);
  }
  assert.equal(isPlainMessagePack(Buffer.concat([bytes, Buffer.from([0])]), 8), false);
});

test('extensions, the unused token and lies about sizes are refused', () => {
  for (const hex of [
    'd40000', // fixext 1: undefined
    'd6ff00000000', // a date
    'd472409161a0', // a record definition
    'c70578a27878a167', // a regular expression
    'c1',
    'ddffffffff', // an array of 4 billion
    'dfffffffff',
    'dbffffffff61', // a string of 4 GB
    'c6ffffffff',
    '93c0c0',
    '81a161',
    'cd01',
    '',
  ]) {
    assert.equal(plain(hex), false, hex);
  }
});

test('nesting is bounded', () => {
  assert.equal(plain(`${'91'.repeat(8)}c0`), true);
  assert.equal(plain(`${'91'.repeat(9)}c0`), false);
  assert.equal(isPlainMessagePack(Buffer.alloc(1 << 20, 0x91), 8), false);
});

test('what passes the check is decoded without an error', () => {
  let passed = 0;
  for (let i = 0; i < 50_000; i++) {
    const bytes = randomBytes(1 + (i % 24));
    if (!isPlainMessagePack(bytes, 8)) continue;
    passed++;
    try {
      packr.unpack(bytes);
    } catch (error) {
      // maps with keys that are no strings pass the check and are refused by the decoder
      assert.match(String(error), /Invalid property type/);
    }
  }
  assert.ok(passed > 100);
});
