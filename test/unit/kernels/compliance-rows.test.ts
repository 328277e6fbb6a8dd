import assert from 'node:assert/strict';
import { ACTIVATION_FUNCTION_NAMES } from '../../../kernels/formats.ts';
import { testCompliance, testEveryBackend, testPairs } from '../../fixtures/compliance.ts';
import {
  applyNormCase,
  gluCase,
  quantizeCase,
  rmsnormCase,
  ropeCase,
  scaleRowsCase,
} from '../../fixtures/compute-cases.ts';
import { input, type KernelCase, output } from '../../fixtures/kernel-bench.ts';
import { FINITE_STYLES, STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';

const ROWS = [1, 2, 5, 9, 33];

testCompliance('quantize', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const rows of ROWS) {
      for (const cols of [32, 64, 96, 352, 2048]) yield quantizeCase(new Random(seed++), { rows, cols, style });
    }
  }
});

testPairs('a row quantises the same alone as in a batch', function* () {
  for (const style of FINITE_STYLES) {
    const shape = { rows: 9, cols: 96, style };
    yield [quantizeCase(new Random(1), shape), quantizeCase(new Random(1), { ...shape, rowByRow: true })];
  }
});

/** Quantises one block whose first values are `values` and whose others are 0. */
function quantizeBlock(values: readonly number[]): KernelCase {
  const block = new Float32Array(32);
  block.set(values);
  return {
    name: `quantize ${values.join(' ')}`,
    buffers: { x: input('f32', new Uint8Array(block.buffer)), out: output('u8', new Uint8Array(48)) },
    run: (kernels, at) => kernels.quantize(at('x'), 128, 32, 1, at('out'), 48),
  };
}

testEveryBackend('quantize rounds ties to even and takes the largest magnitude as 127', (bench) => {
  const { result, buffers } = bench.run(quantizeBlock([-127, 0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 125.5]));
  assert.equal(result, true);
  const view = new DataView(buffers.out!.buffer);
  assert.deepEqual(
    Array.from({ length: 9 }, (_, i) => view.getInt8(i)),
    [-127, 0, 2, 2, 0, -2, 126, 126, 0],
  );
  assert.equal(view.getFloat32(32, true), 1);
  assert.equal(view.getInt16(36, true), -127 + 2 + 2 - 2 + 126 + 126);
  assert.equal(view.getInt16(38, true), 0);
});

testEveryBackend('quantize sums the halves of a block apart', (bench) => {
  const values = Array.from({ length: 32 }, (_, i) => (i < 16 ? 127 : -i));
  const view = new DataView(bench.run(quantizeBlock(values)).buffers.out!.buffer);
  assert.deepEqual([view.getInt16(36, true), view.getInt16(38, true)], [16 * 127, -(16 * 47) / 2]);
});

testEveryBackend('quantize gives zeros for a block below 2^-100 and not at it', (bench) => {
  const below = bench.run(quantizeBlock([2 ** -100 - 2 ** -124])).buffers.out!;
  assert.deepEqual([...below.subarray(0, 40)], new Array(40).fill(0));
  const at = new DataView(bench.run(quantizeBlock([2 ** -100])).buffers.out!.buffer);
  assert.equal(at.getInt8(0), 127);
  assert.equal(at.getFloat32(32, true), Math.fround(2 ** -100 / 127));
});

testEveryBackend('quantize finds what is not finite in any place', (bench) => {
  for (let i = 0; i < 32; i++) {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const values = new Array<number>(32).fill(1);
      values[i] = bad;
      assert.equal(bench.run(quantizeBlock(values)).result, false, `${bad} at ${i}`);
    }
  }
});

testCompliance('rmsnorm', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const rows of ROWS) {
      for (const dim of [1, 32, 64, 172, 352, 2048]) {
        for (const eps of [0, 1e-5]) yield rmsnormCase(new Random(seed++), { rows, dim, eps, style });
      }
    }
  }
});

testPairs('a row is normed the same alone as in a batch', function* () {
  for (const style of FINITE_STYLES) {
    const shape = { rows: 9, dim: 172, eps: 1e-6, style };
    yield [rmsnormCase(new Random(1), shape), rmsnormCase(new Random(1), { ...shape, rowByRow: true })];
  }
});

testCompliance('rope', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const heads of [1, 2, 3, 8]) {
      for (const headDim of [8, 32, 64, 80, 128]) yield ropeCase(new Random(seed++), { heads, headDim, style });
    }
  }
});

testCompliance('scaleRows', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const rows of [0, ...ROWS]) {
      for (const cols of [8, 40, 352]) yield scaleRowsCase(new Random(seed++), { rows, cols, style });
    }
  }
});

testCompliance('applyNorm', function* () {
  let seed = 0;
  for (const style of STYLES) for (const cols of [8, 40, 352]) yield applyNormCase(new Random(seed++), { cols, style });
});

testCompliance('glu', function* () {
  let seed = 0;
  for (const activation of ACTIVATION_FUNCTION_NAMES) {
    for (const style of STYLES) {
      for (const n of [8, 16, 24, 344, 2048]) yield gluCase(new Random(seed++), { activation, n, style });
    }
  }
});

/** Gates at the places where exp or an activation function changes its rule, and what is not finite. */
const EDGES = [0, -0, 87, -87, 87.00001, -87.00001, 88, -88, 88.00001, -88.00001, 3e38, -3e38];
EDGES.push(7, -7, 7.000001, -7.000001, -10, -10.000001, 1.8e19, -1.8e19, 2e19, -2e19, 51.7, -51.8);
EDGES.push(1e-45, -1e-45, 0.34657359, -0.34657359, Infinity, -Infinity, Number.NaN, 1);

testCompliance('glu at the edges of exp', function* () {
  for (const activation of ACTIVATION_FUNCTION_NAMES) {
    for (const edge of EDGES) {
      // Each edge as gate, as what is let through, and both.
      const gate = Float32Array.of(edge, edge, edge, edge, 1, -1, 0, 7);
      const up = Float32Array.of(1, -1, edge, 0, edge, edge, edge, edge);
      yield {
        name: `glu ${activation} ${edge}`,
        buffers: { gate: output('f32', new Uint8Array(gate.buffer)), up: input('f32', new Uint8Array(up.buffer)) },
        run(kernels, at) {
          kernels.glu(activation, at('gate'), at('up'), 8);
          return undefined;
        },
      };
    }
  }
});

testEveryBackend('a unit of zeros gives zeros, so that padding stays harmless', (bench) => {
  for (const activation of ACTIVATION_FUNCTION_NAMES) {
    const { buffers } = bench.run({
      name: `glu ${activation} of zeros`,
      buffers: { gate: output('f32', new Uint8Array(32)), up: input('f32', new Uint8Array(32)) },
      run(kernels, at) {
        kernels.glu(activation, at('gate'), at('up'), 8);
        return undefined;
      },
    });
    assert.deepEqual(Array.from(new Float32Array(buffers.gate!.buffer)), new Array(8).fill(0));
  }
});
