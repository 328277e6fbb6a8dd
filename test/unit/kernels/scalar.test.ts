import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clampedUnitF32,
  expF32,
  floatBits,
  floatFromBits,
  geluF32,
  roundTiesToEven,
  siluF32,
  tanhF32,
  tree,
} from '../../../kernels/scalar.ts';
import { Random } from '../../fixtures/random.ts';

test('roundTiesToEven', () => {
  const pairs: [number, number][] = [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, -0],
    [-0.3, -0],
    [-0, -0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [-0.49999999999999994, -0],
    [2.500000001, 3],
    [2 ** 51 + 0.5, 2 ** 51],
    [2 ** 51 + 1.5, 2 ** 51 + 2],
    [2 ** 52 + 1, 2 ** 52 + 1],
    [-(2 ** 53), -(2 ** 53)],
    [1e300, 1e300],
    [Infinity, Infinity],
    [-Infinity, -Infinity],
    [Number.NaN, Number.NaN],
  ];
  for (const [x, expected] of pairs) assert.ok(Object.is(roundTiesToEven(x), expected), `${x}`);
});

test('bits of f32', () => {
  assert.equal(floatBits(1), 0x3f800000);
  assert.equal(floatBits(-0), 0x80000000);
  assert.equal(floatBits(0.1), 0x3dcccccd);
  assert.equal(floatFromBits(1), 2 ** -149);
  assert.equal(floatFromBits(0xff800000), -Infinity);
});

test('tree adds in its stated order', () => {
  // 2^24 + 1 rounds to 2^24: only in the stated order do the ones meet before they meet 2^24.
  assert.equal(tree(Float32Array.of(2 ** 24, 1, 0, 0, 0, 1, 0, 0)), 2 ** 24 + 2);
  assert.equal(tree(Float32Array.of(2 ** 24, 0, 1, 0, 0, 0, 1, 0)), 2 ** 24 + 2);
  assert.equal(tree(Float32Array.of(2 ** 24, 0, 1, 0, 1, 0, 0, 0)), 2 ** 24);
  assert.equal(tree(Float32Array.of(2 ** 24, 1, 0, 1, 0, 0, 0, 0)), 2 ** 24 + 2);
  assert.equal(tree(Float32Array.of(2 ** 24, 1, 0, 0, 0, 0, 0, 0)), 2 ** 24);
  assert.equal(tree(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)), 36);
});

test('exp is within 2e-7 of the true value over its whole range', () => {
  let worst = 0;
  const check = (value: number): void => {
    const x = Math.fround(value);
    if (x < -87 || x > 88) return;
    worst = Math.max(worst, Math.abs(expF32(x) / Math.exp(x) - 1));
  };
  for (let i = 0; i <= 200000; i++) check(-87 + (175 * i) / 200000);
  // Small arguments, and those around half a power of two, where the reduction turns.
  for (let i = 0; i < 10000; i++) {
    check(-(2 ** (-i / 100)));
    check((Math.floor(i / 80) - 125.5) * Math.LN2 * (1 + ((i % 80) - 40) * 1e-7));
  }
  assert.ok(worst < 2e-7, `worst relative error ${worst}`);
});

test('exp outside its range and at its edges', () => {
  assert.equal(expF32(0), 1);
  assert.equal(expF32(-0), 1);
  assert.equal(expF32(floatFromBits(floatBits(-87) + 1)), 0);
  assert.ok(expF32(-87) > 1.6e-38);
  assert.equal(expF32(-Infinity), 0);
  assert.equal(expF32(Infinity), expF32(88));
  assert.equal(expF32(1e30), expF32(88));
  assert.ok(Number.isNaN(expF32(Number.NaN)));
});

test('tanh is within 2e-7 of the true value, and keeps signs, bounds and NaN', () => {
  const random = new Random(2);
  for (let i = 0; i < 100000; i++) {
    const x = Math.fround(random.normal() * 2 ** random.between(-20, 6));
    assert.ok(Math.abs(tanhF32(x) - Math.tanh(x)) <= 2e-7, `${x}`);
  }
  for (const x of [0, -0, Infinity, -Infinity, 3e38, -3e38, Number.NaN]) {
    assert.ok(Object.is(tanhF32(x), Math.tanh(x)), `${x}`);
  }
});

test('silu is within 1e-6 of g / (1 + e^−g) from −80 up', () => {
  const random = new Random(1);
  for (let i = 0; i < 100000; i++) {
    const g = Math.fround(random.unit() * 160 - 80);
    const expected = g / (1 + Math.exp(-g));
    assert.ok(Math.abs(siluF32(g) - expected) <= 1e-6 * Math.abs(expected), `${g}`);
  }
  assert.equal(siluF32(0), 0);
  assert.equal(siluF32(100), 100);
  assert.equal(siluF32(Infinity), Infinity);
  assert.ok(Number.isNaN(siluF32(Number.NaN)));
});

test('gelu is x · (1 + tanh(√(2/π) · (x + 0.044715·x³))) / 2 for every finite x', () => {
  const gelu = (x: number): number => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const random = new Random(3);
  const check = (value: number): void => {
    const x = Math.fround(value);
    // Of large gates the result is the gate; f64's tanh has no digits left where 1 + tanh is small, hence the second
    // part.
    assert.ok(Math.abs(geluF32(x) - gelu(x)) <= 1e-6 * Math.abs(gelu(x)) + 2e-7, `${x}: ${geluF32(x)}, not ${gelu(x)}`);
  };
  for (let i = 0; i < 100000; i++) check(random.unit() * 30 - 15);
  for (let bits = 0; bits < 0x7f800000; bits += 99991) {
    check(floatFromBits(bits));
    check(-floatFromBits(bits));
  }
  assert.equal(geluF32(0), 0);
  assert.equal(geluF32(Infinity), Infinity);
  assert.ok(Number.isNaN(geluF32(Number.NaN)));
});

test('the clamped unit is min(g, 7) · sigmoid(1.702 · min(g, 7)) · (1 + u within ±7)', () => {
  const random = new Random(4);
  for (let i = 0; i < 100000; i++) {
    const [gate, up] = [Math.fround(random.unit() * 60 - 45), Math.fround(random.unit() * 40 - 20)];
    const g = Math.min(gate, 7);
    const expected = (g / (1 + Math.exp(-1.702 * g))) * (1 + Math.min(7, Math.max(-7, up)));
    // The argument of exp is below 80 and rounded once, which its relative error shows.
    assert.ok(Math.abs(clampedUnitF32(gate, up) - expected) <= 1e-5 * Math.abs(expected) + 1e-30, `${gate}, ${up}`);
  }
  assert.equal(clampedUnitF32(1e30, 1e30), clampedUnitF32(7, 7));
  assert.equal(clampedUnitF32(1, -1e30), clampedUnitF32(1, -7));
  for (const [gate, up] of [
    [Number.NaN, 1],
    [1, Number.NaN],
  ] as const) {
    assert.ok(Number.isNaN(clampedUnitF32(gate, up)));
  }
});
