// What the reference computes with the parts of a tile that only some models have, against straightforward f64 mathematics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KV_PAGE, kvPageBytes } from '../../../kernels/formats.ts';
import { halfToFloat } from '../../../kernels/half.ts';
import { Random } from '../../fixtures/random.ts';
import { product, ReferenceBench, readyHead } from '../../fixtures/reference-bench.ts';

function assertNear(actual: readonly number[], expected: readonly number[], tolerance: number, where: string): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `${where}, ${i}: ${actual[i]}, not ${value}`);
  }
}

const HEADS = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

for (const [biased, normed] of HEADS) {
  test(`keys ${biased ? 'with' : 'without'} a bias, ${normed ? 'normed' : 'as they are'}, are those of f64`, () => {
    const [cols, headDim, rows, position, eps] = [64, 40, 3, 62, 1e-6];
    const bench = new ReferenceBench(new Random(7));
    const x = bench.draw(rows * cols);
    const [k, v] = [bench.matrix(headDim, cols), bench.matrix(headDim, cols)];
    const [kBias, vBias, kNorm] = [bench.draw(headDim), bench.draw(headDim), bench.draw(headDim)];
    const cache = bench.arena.alloc(2 * kvPageBytes('f16', headDim));
    const { kernels } = bench;
    const prepared = kernels.prepareKeyValue({
      k: k.placed,
      v: v.placed,
      kBias: biased ? bench.floats(kBias) : null,
      vBias: biased ? bench.floats(vBias) : null,
      kNorm: normed ? bench.floats(kNorm) : null,
      eps,
      kv: 'f16',
      headDim,
      cache,
      buffers: bench.buffers(x, cols, headDim, 8, rows),
      step: bench.step(position, rows, headDim, [1, 0]),
    });
    kernels.keyValue(prepared, 0, rows);
    for (let r = 0; r < rows; r++) {
      const [page, slot] = [position + r < KV_PAGE ? 1 : 0, (position + r) % KV_PAGE];
      const units = new Uint16Array(
        bench.arena.bytes(cache + page * kvPageBytes('f16', headDim), kvPageBytes('f16', headDim)).slice().buffer,
      );
      const row = x.slice(r * cols, (r + 1) * cols);
      const key = readyHead(product(k, row), biased ? kBias : null, normed ? kNorm : null, eps, position + r);
      const value = product(v, row).map((one, d) => one + (biased ? vBias[d]! : 0));
      const stored = (at: (d: number) => number): number[] =>
        Array.from({ length: headDim }, (_, d) => halfToFloat(units[at(d)]!));
      // Values are below 8, where an f16 is within 2^-9 of what it stands for.
      assertNear(
        stored((d) => d * KV_PAGE + slot),
        key,
        2 ** -9,
        `key of row ${r}`,
      );
      assertNear(
        stored((d) => (KV_PAGE + slot) * headDim + d),
        value,
        2 ** -9,
        `value of row ${r}`,
      );
    }
  });
}
