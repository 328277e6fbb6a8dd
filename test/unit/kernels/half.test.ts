import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from '../../../kernels/half.ts';
import { floatFromBits } from '../../../kernels/scalar.ts';
import { Random } from '../../fixtures/random.ts';

test('known f16 values', () => {
  const known: [number, number][] = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
  ];
  for (const [bits, value] of known) assert.equal(halfToFloat(bits), value);
  assert.ok(Object.is(halfToFloat(0x8000), -0));
  assert.ok(Number.isNaN(halfToFloat(0x7c01)) && Number.isNaN(halfToFloat(0xffff)));
});

test('every f16 goes to f32 and back', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = halfToFloat(bits);
    assert.equal(floatToHalf(value), Number.isNaN(value) ? 0x7e00 : bits);
  }
});

test('between two neighbouring f16 the nearer is taken, and half-way the even', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const low = halfToFloat(bits);
    const middle = (low + halfToFloat(bits + 1)) / 2;
    const nudge = middle * 2 ** -23;
    assert.equal(floatToHalf(middle), bits + (bits & 1));
    assert.equal(floatToHalf(middle - nudge), bits);
    assert.equal(floatToHalf(middle + nudge), bits + 1);
    assert.equal(floatToHalf(-middle), 0x8000 | (bits + (bits & 1)));
  }
});

test('f32 beyond the range of f16', () => {
  assert.equal(floatToHalf(floatFromBits(0x477fefff)), 0x7bff); // the f32 below 65520
  assert.equal(floatToHalf(65520), 0x7c00);
  assert.equal(floatToHalf(-3e38), 0xfc00);
  assert.equal(floatToHalf(2 ** -25), 0);
  assert.equal(floatToHalf(floatFromBits(0x33000001)), 1); // the f32 above 2^-25
  assert.equal(floatToHalf(-1e-45), 0x8000);
  assert.equal(floatToHalf(Number.NaN), 0x7e00);
});

test('bfloat16 is the upper half of an f32, rounded to nearest even', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = bfloatToFloat(bits);
    assert.equal(floatToBfloat(value), Number.isNaN(value) ? 0x7fc0 : bits);
  }
  assert.equal(floatToBfloat(floatFromBits(0x3f808000)), 0x3f80); // a tie, down to even
  assert.equal(floatToBfloat(floatFromBits(0x3f818000)), 0x3f82); // a tie, up to even
  assert.equal(floatToBfloat(floatFromBits(0x7f7fffff)), 0x7f80);
  const random = new Random(1);
  for (let i = 0; i < 10000; i++) {
    const value = floatFromBits(random.below(0x7f000000));
    const error = Math.abs(bfloatToFloat(floatToBfloat(value)) - value);
    assert.ok(error <= Math.max(value * 2 ** -8, 2 ** -134), `${value}`);
  }
});
