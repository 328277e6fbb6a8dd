// The suite's own instruments: what they must notice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SegmentArena } from '../../../kernels/arena.ts';
import { openKernels } from '../../../kernels/create-kernels.ts';
import type { TestBackend } from '../../fixtures/backends.ts';
import {
  type CaseBuffer,
  firstDifference,
  freshOutput,
  input,
  KernelBench,
  type KernelCase,
} from '../../fixtures/kernel-bench.ts';

const backend: TestBackend = {
  name: 'reference',
  createArena: () => new SegmentArena('reference', 4096),
  kernels: (arena) => openKernels(arena.handle()),
};

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

const kernelCase = (buffers: Record<string, CaseBuffer>, run: KernelCase['run']): KernelCase => ({
  name: 'a case',
  buffers,
  run,
});

test('a write beside a buffer fails the case', () => {
  const bench = new KernelBench(backend, 4096);
  const out = freshOutput('f32', 30 * 4);
  const x = input('f32', new Uint8Array(32 * 4));
  const gains = input('f32', new Uint8Array(32 * 4));
  // rmsnorm writes 32 values, the buffer has 30.
  const run: KernelCase['run'] = (kernels, at) => {
    kernels.rmsnorm(at('x'), 128, at('gains'), 32, 32, 1, 1, at('out'), 128);
    return undefined;
  };
  assert.throws(() => bench.run(kernelCase({ x, gains, out }, run)), /a case: after the last buffer: byte 0 of/);
  assert.throws(() => bench.run(kernelCase({ out, x, gains }, run)), /a case: before x: byte 0 of/);
});

test('the first differing value is named in hex; NaN equals NaN, −0 is not 0', () => {
  const case2 = kernelCase({ out: freshOutput('f32', 12) }, () => undefined);
  const outcome = (...values: number[]) => ({ result: undefined, buffers: { out: floats(...values) } });
  assert.equal(firstDifference(case2, outcome(1, 2, 3), outcome(1, 2, 3)), null);
  assert.equal(
    firstDifference(case2, outcome(1, 2, 3), outcome(1, 4, 3)),
    'a case: out[1] (f32) is 0x40800000, the reference 0x40000000 (1 of 12 bytes differ)',
  );
  assert.match(firstDifference(case2, outcome(0, 0, 0), outcome(0, 0, -0))!, /out\[2\] \(f32\) is 0x80000000/);
  const negativeNaN = {
    result: undefined,
    buffers: { out: Uint8Array.from([0, 0, 0xc0, 0xff, ...new Array(8).fill(0)]) },
  };
  assert.equal(firstDifference(case2, outcome(Number.NaN, 0, 0), negativeNaN), null);
});

test('results are compared, and outputs of a refused call are not', () => {
  const case3 = kernelCase({ out: freshOutput('u8', 2), x: input('u8', new Uint8Array(2)) }, () => false);
  const outcome = (result: boolean, out: number, x: number) => ({
    result,
    buffers: { out: Uint8Array.of(out, out), x: Uint8Array.of(x, x) },
  });
  assert.match(
    firstDifference(case3, outcome(true, 0, 0), outcome(false, 0, 0))!,
    /returned false, the reference true/,
  );
  assert.equal(firstDifference(case3, outcome(false, 0, 0), outcome(false, 1, 0)), null);
  assert.match(firstDifference(case3, outcome(false, 0, 0), outcome(false, 0, 1))!, /x\[0\] \(u8\) is 0x01/);
});
