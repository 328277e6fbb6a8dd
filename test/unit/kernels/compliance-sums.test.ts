import assert from 'node:assert/strict';
import { testCompliance, testEveryBackend } from '../../fixtures/compliance.ts';
import { input, type KernelBench, output, scratch } from '../../fixtures/kernel-bench.ts';
import { FINITE_STYLES, STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';
import {
  addScaledCase,
  addSumsCase,
  DAMAGES,
  fromSumsCase,
  packByDefinition,
  packSumsCase,
  residualCase,
  unpackBytes,
  unpackSumsCase,
} from '../../fixtures/sum-cases.ts';

const doubles = (bytes: Uint8Array): number[] => Array.from(new Float64Array(bytes.slice().buffer));
const doubleBytes = (values: readonly number[]): Uint8Array => new Uint8Array(Float64Array.from(values).buffer);

/** Adds eight values to eight sums: as a diagonal matrix times ones. */
function accumulate(bench: KernelBench, values: number[], sums: number[], limit: number, fresh = false) {
  const weights = new Float32Array(8 * 32);
  for (const [row, value] of values.entries()) weights[row * 8 + row] = value;
  const { result, buffers } = bench.run({
    name: `accumulate ${values.join(' ')}`,
    buffers: {
      weights: input('f32', new Uint8Array(weights.buffer)),
      x: input('f32', new Uint8Array(new Float32Array(32).fill(1).buffer)),
      panel: scratch(128),
      sums: output('f64', doubleBytes(sums)),
    },
    run(kernels, at) {
      kernels.packPanel('f32', at('x'), 128, 32, 1, at('panel'));
      return kernels.matmulSums('F32', at('weights'), 8, 32, at('panel'), 1, at('sums'), 64, limit, fresh, null);
    },
  });
  return { result, sums: doubles(buffers.sums!) };
}

testEveryBackend('matmulSums rounds ties to even and adds exactly', (bench) => {
  const unit = 2 ** -24;
  const { result, sums } = accumulate(
    bench,
    [0.5 * unit, 1.5 * unit, -0.5 * unit, -2.5 * unit, 3 * unit, 2 ** 20, -(2 ** 20), 1],
    [0, 0, 0, 0, 2 ** 52, 2 ** 44, 1, -1],
    2 ** 53,
  );
  assert.equal(result, true);
  assert.deepEqual(sums, [0, 2, 0, -2, 2 ** 52 + 3, 2 ** 45, 1 - 2 ** 44, 2 ** 24 - 1]);
});

testEveryBackend('matmulSums does not look at sums that are fresh', (bench) => {
  const { result, sums } = accumulate(bench, [1, -1, 0, -0, 2, 3, 4, 5], Array(8).fill(Number.NaN), 2 ** 53, true);
  assert.equal(result, true);
  assert.deepEqual(
    sums,
    [1, -1, 0, 0, 2, 3, 4, 5].map((value) => value * 2 ** 24),
  );
});

testEveryBackend('matmulSums takes the limit itself and refuses the next value, in every place', (bench) => {
  const limit = 2 ** 44;
  for (let i = 0; i < 8; i++) {
    const at = (value: number): number[] => Array.from({ length: 8 }, (_, j) => (j === i ? value : 1));
    for (const sign of [1, -1]) {
      assert.equal(accumulate(bench, at(sign * 2 ** 20), at(0), limit).result, true);
      assert.equal(accumulate(bench, at(sign * (2 ** 20 + 2 ** -3)), at(0), limit).result, false);
    }
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      assert.equal(accumulate(bench, at(bad), at(0), 2 ** 53).result, false, `${bad} at ${i}`);
    }
  }
});

testCompliance('addSums and residual', function* () {
  let seed = 0;
  for (const n of [0, 1, 2, 3, 7, 8, 64, 333]) {
    for (const bits of [1, 24, 47, 52]) {
      yield addSumsCase(new Random(seed++), { n, bits });
      for (const style of FINITE_STYLES) yield residualCase(new Random(seed++), { n, style, bits });
    }
  }
});

testCompliance('fromSums', function* () {
  let seed = 0;
  for (const n of [0, 8, 64, 344]) {
    for (let bits = 0; bits <= 53; bits += 3) yield fromSumsCase(new Random(seed++), { n, bits });
  }
});

testCompliance('addScaled', function* () {
  let seed = 0;
  for (const n of [0, 8, 64, 344]) {
    for (const style of STYLES) {
      for (const scale of [1, 0.22, -12, 1e-45, 3e38]) yield addScaledCase(new Random(seed++), { n, style, scale });
    }
  }
});

testCompliance('packSums at every width', function* () {
  let seed = 0;
  for (const n of [32, 64, 320]) {
    for (let bits = 0; bits <= 53; bits++) yield packSumsCase(new Random(seed++), { n, bits });
  }
});

testCompliance('unpackSums of good and hostile bytes', function* () {
  let seed = 0;
  for (const n of [32, 96]) {
    for (const damage of DAMAGES) {
      for (let bits = 0; bits <= 53; bits++) yield unpackSumsCase(new Random(seed++), { n, bits, damage });
    }
  }
});

testEveryBackend('packing follows its definition and unpacking adds it back', (bench) => {
  for (let width = 2; width <= 7; width++) {
    const edge = Math.min(2 ** (8 * width - 1), 2 ** 53);
    const below = edge === 2 ** 53 ? edge : edge - 1;
    const values = Array.from({ length: 64 }, (_, i) => [below, -edge, 0, 1, -1, 255, -256][i % 7]!);
    const { result, buffers } = bench.run({
      name: `packSums of width ${width}`,
      buffers: { sums: input('f64', doubleBytes(values)), out: output('u8', new Uint8Array(2 * 257)) },
      run: (kernels, at) => kernels.packSums(at('sums'), 64, at('out')),
    });
    const packed = packByDefinition(values);
    assert.equal(packed[0], width);
    assert.equal(result, packed.length);
    assert.deepEqual(buffers.out!.slice(0, packed.length), packed);
    const unpacked = bench.run({
      name: `unpackSums of width ${width}`,
      ...unpackBytes(packed, 64, doubleBytes(values.map(() => 10))),
    });
    assert.equal(unpacked.result, true);
    assert.deepEqual(
      doubles(unpacked.buffers.sums!),
      values.map((value) => value + 10),
    );
  }
});

testEveryBackend('unpackSums refuses what is no packing', (bench) => {
  const good = packByDefinition(new Array(32).fill(300));
  const wide = packByDefinition(new Array(32).fill(300), 8);
  const put = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
    const changed = bytes.slice();
    changed.set(values, at);
    return changed;
  };
  const largest = packByDefinition(new Array(32).fill(2 ** 53), 8);
  const smallest = packByDefinition(new Array(32).fill(-(2 ** 53)), 8);
  const accepted = { good, wide, largest, smallest };
  const refused = {
    empty: new Uint8Array(0),
    'only a width': good.slice(0, 1),
    'one byte short': good.slice(0, -1),
    'one byte long': Uint8Array.from([...good, 0]),
    'two packings': Uint8Array.from([...good, ...good]),
    'width 0': put(good, 0, 0),
    'width 1': put(good, 0, 1),
    'width 9': put(Uint8Array.from([...wide, ...new Array(32).fill(0)]), 0, 9),
    'width 255': put(good, 0, 255),
    '2^53 + 1': put(largest, 1, 1),
    '−2^53 − 1': put(smallest, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xdf, 0xff),
    '2^63 − 1': put(wide, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
    '−2^63': put(wide, 1, 0, 0, 0, 0, 0, 0, 0, 0x80),
  };
  const unpack = (name: string, bytes: Uint8Array) =>
    bench.run({ name, ...unpackBytes(bytes, 32, new Uint8Array(32 * 8)) }).result;
  for (const [name, bytes] of Object.entries(accepted)) assert.equal(unpack(name, bytes), true, name);
  for (const [name, bytes] of Object.entries(refused)) assert.equal(unpack(name, bytes), false, name);
});
