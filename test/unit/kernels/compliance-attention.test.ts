import { KV_PAGE, kvPageBytes } from '../../../kernels/formats.ts';
import { testCompliance } from '../../fixtures/compliance.ts';
import { attendCase, kvStoreCase } from '../../fixtures/compute-cases.ts';
import { freshOutput, input } from '../../fixtures/kernel-bench.ts';
import { STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';

const POSITIONS = [1, 7, 8, 63, 64, 65, 130, 300];
const HEAD_DIMS = [8, 32, 64, 80, 128];
const HEADS = [1, 2, 4, 8];

testCompliance('attend, every length with every head width', function* () {
  let turn = 0;
  for (const positions of POSITIONS) {
    for (const headDim of HEAD_DIMS) {
      // Each pair meets two of the four head counts.
      for (const heads of [HEADS[turn % 4]!, HEADS[(turn + 1) % 4]!]) {
        yield attendCase(new Random(turn), { heads, headDim, positions, style: 'normal', kvStyle: 'normal' });
      }
      turn++;
    }
  }
});

testCompliance('attend, extreme values', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const kvStyle of STYLES) {
      for (const positions of [1, 9, 70]) {
        yield attendCase(new Random(seed++), { heads: 3, headDim: 16, positions, style, kvStyle });
      }
    }
  }
});

testCompliance('kvStore, every head width and slot', function* () {
  let seed = 0;
  for (const style of STYLES) {
    for (const headDim of HEAD_DIMS) {
      for (const slot of [0, 1, 31, KV_PAGE - 1]) yield kvStoreCase(new Random(seed++), { headDim, slot, style });
    }
  }
});

/** f32 values on, just below and just above every kind of boundary between two f16. */
function halfBoundaries(): Float32Array {
  const values: number[] = [];
  const sources = [0, 1, 2, 3, 512, 1023, 1024, 1025, 2047, 2048, 15360, 15361, 31742, 31743];
  for (const bits of sources) {
    const low = bits < 1024 ? bits * 2 ** -24 : (1024 + (bits & 1023)) * 2 ** ((bits >> 10) - 25);
    const step = 2 ** (Math.max(bits >> 10, 1) - 25);
    const tie = low + step / 2;
    for (const value of [low, tie, tie * (1 - 2 ** -22), tie * (1 + 2 ** -22)]) values.push(value, -value);
  }
  values.push(2 ** -25, 2 ** -26, 1e-45, 3.4e38, -3.4e38, Infinity, -Infinity, Number.NaN, 65519.99, 65520, 65536);
  while (values.length % 8 !== 0) values.push(0);
  return Float32Array.from(values);
}

testCompliance('kvStore at the boundaries between two f16', function* () {
  const values = halfBoundaries();
  yield {
    name: 'kvStore of boundaries',
    buffers: {
      k: input('f32', new Uint8Array(values.buffer)),
      page: freshOutput('f16', kvPageBytes(values.length)),
    },
    run(kernels, at) {
      kernels.kvStore(at('k'), at('k'), values.length, at('page'), 5);
      return undefined;
    },
  };
});
