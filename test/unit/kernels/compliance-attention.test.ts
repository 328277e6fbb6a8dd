import { KV_FORMAT_NAMES, KV_PAGE, kvPageBytes } from '../../../kernels/formats.ts';
import { testCompliance, testPairs } from '../../fixtures/compliance.ts';
import { attendCase, kvStoreCase } from '../../fixtures/compute-cases.ts';
import { freshOutput, input } from '../../fixtures/kernel-bench.ts';
import { FINITE_STYLES, STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';

const POSITIONS = [1, 7, 8, 63, 64, 65, 130, 300];
const HEAD_DIMS = [8, 32, 40, 64, 80, 128, 512];
const HEADS = [1, 2, 4, 8];

for (const format of KV_FORMAT_NAMES) {
  testCompliance(`attend over ${format}, every length with every head width`, function* () {
    let turn = 0;
    for (const positions of POSITIONS) {
      for (const headDim of HEAD_DIMS) {
        // Each pair meets two of the four head counts, once with one row and once with several.
        for (const [heads, rows] of [
          [HEADS[turn % 4]!, 1],
          [HEADS[(turn + 1) % 4]!, headDim > 128 ? 2 : 3],
        ] as const) {
          const shape = { format, rows, heads, headDim, positions, style: 'normal', kvStyle: 'normal' } as const;
          yield attendCase(new Random(turn), shape);
        }
        turn++;
      }
    }
  });

  testCompliance(`attend over ${format}, extreme values`, function* () {
    let seed = 0;
    for (const style of STYLES) {
      for (const kvStyle of STYLES) {
        for (const positions of [1, 9, 70]) {
          yield attendCase(new Random(seed++), { format, rows: 2, heads: 3, headDim: 16, positions, style, kvStyle });
        }
      }
    }
  });

  testCompliance(`attend over ${format} with windows, bounded scores and sinks`, function* () {
    let seed = 0;
    for (const window of [0, 1, 2, 9, 63, 64, 65, 100, 128, 500]) {
      for (const softCap of [0, 30]) {
        for (const sinkStyle of [undefined, 'normal'] as const) {
          for (const [positions, rows, heads] of [
            [1, 3, 5],
            [60, 9, 1],
            [190, 2, 3],
            [300, 17, 2],
          ] as const) {
            const headDim = HEAD_DIMS[seed % (HEAD_DIMS.length - 1)]!;
            const shape = { format, rows, heads, headDim, positions, style: 'normal', kvStyle: 'normal' } as const;
            const rules = sinkStyle === undefined ? { window, softCap } : { window, softCap, sinkStyle };
            yield attendCase(new Random(seed++), { ...shape, ...rules });
          }
        }
      }
    }
  });

  testCompliance(`attend over ${format} with windows, bounded scores and sinks, extreme values`, function* () {
    let seed = 0;
    for (const style of STYLES) {
      for (const kvStyle of STYLES) {
        for (const sinkStyle of STYLES) {
          const shape = { format, rows: 3, heads: 2, headDim: 16, positions: 66, style, kvStyle, sinkStyle };
          yield attendCase(new Random(seed++), { ...shape, window: 5, softCap: [0, 2][seed % 2]! });
        }
      }
    }
  });

  testPairs(`a row and head attends to ${format} the same alone as among others`, function* () {
    let seed = 0;
    for (const kvStyle of [...FINITE_STYLES, 'special'] as const) {
      // Rows that begin a page, and a batch whose rows are in different pages.
      for (const [positions, rows, heads] of [
        [1, 12, 1],
        [60, 9, 3],
        [64, 2, 8],
      ] as const) {
        for (const window of [0, 1, 7, 64, 100]) {
          const rules = { window, softCap: 20, sinkStyle: 'normal' } as const;
          const shape = { format, rows, heads, headDim: 40, positions, style: 'normal', kvStyle, ...rules } as const;
          yield [attendCase(new Random(seed), shape), attendCase(new Random(seed), { ...shape, oneByOne: true })];
          seed++;
        }
      }
    }
  });

  testCompliance(`kvStore as ${format}, every head width and slot`, function* () {
    let seed = 0;
    for (const style of STYLES) {
      for (const headDim of HEAD_DIMS) {
        for (const slot of [0, 1, 31, KV_PAGE - 1]) {
          yield kvStoreCase(new Random(seed++), { format, headDim, slot, style });
        }
      }
    }
  });
}

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
      page: freshOutput('f16', kvPageBytes('f16', values.length)),
    },
    run(kernels, at) {
      kernels.kvStore('f16', at('k'), at('k'), values.length, at('page'), 5);
      return undefined;
    },
  };
});
