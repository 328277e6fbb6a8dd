import { ACTIVATION_FUNCTION_NAMES, KV_FORMAT_NAMES } from '../../../kernels/formats.ts';
import { testCompliance, testPairs } from '../../fixtures/compliance.ts';
import { expertCase, feedForwardCase } from '../../fixtures/feed-forward-cases.ts';
import { FORMATS } from '../../fixtures/kernel-cases.ts';
import { STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';
import { attentionCase, HEAD_NORMS, keyValueCase } from '../../fixtures/tile-cases.ts';

// Random calls of every kind are in compliance-random.test.ts.
testCompliance('feed-forward tiles of every format', function* () {
  let seed = 0;
  for (const format of FORMATS) {
    for (const rows of [1, 9]) {
      for (const fresh of [true, false]) {
        const shape = { format, last: format, rows, first: 2, style: 'normal', fresh } as const;
        yield feedForwardCase(new Random(seed++), { ...shape, activation: 'silu', biased: false });
      }
    }
  }
});

testCompliance('feed-forward tiles of every activation function', function* () {
  let seed = 0;
  for (const activation of ACTIVATION_FUNCTION_NAMES) {
    for (const style of STYLES) {
      for (const rows of [1, 5]) {
        const shape = { format: 'Q4_0', last: 'Q8_0', rows, first: 1, style, fresh: true } as const;
        for (const biased of [true, false]) yield feedForwardCase(new Random(seed++), { ...shape, activation, biased });
      }
    }
  }
});

/** Rows of an expert: none, one of one, one of several, some, all; more than a batch has. */
const LISTS: readonly (readonly [rows: number, list: readonly number[]])[] = [
  [1, []],
  [1, [0]],
  [5, []],
  [5, [3]],
  [9, [0, 1, 4, 8]],
  [9, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [40, Array.from({ length: 26 }, (_, i) => i + Math.floor(i / 2))],
];

testCompliance('experts of every format', function* () {
  let seed = 0;
  for (const format of FORMATS) {
    for (const [rows, list] of LISTS) {
      const last = FORMATS[seed % FORMATS.length]!;
      const shape = { format, last, rows, first: 2, style: 'normal', activation: 'silu', biased: false } as const;
      yield expertCase(new Random(seed), { ...shape, list, fresh: seed % 2 === 0 });
      seed++;
    }
  }
});

testCompliance('experts of extreme values', function* () {
  let seed = 0;
  for (const activation of ACTIVATION_FUNCTION_NAMES) {
    for (const style of STYLES) {
      for (const fresh of [true, false]) {
        const shape = { format: 'Q4_0', last: 'Q8_0', rows: 6, first: 1, style, activation, biased: true } as const;
        yield expertCase(new Random(seed++), { ...shape, list: [1, 2, 5], fresh });
      }
    }
  }
});

testPairs('a row of an expert has the same sums alone as among others', function* () {
  let seed = 0;
  for (const format of ['Q8_0', 'Q4_K', 'F16'] as const) {
    for (const [rows, list] of LISTS) {
      for (const fresh of [true, false]) {
        const tile = { format, last: format, rows, first: 1, style: 'normal', fresh, list } as const;
        const shape = { ...tile, activation: 'gelu', biased: true } as const;
        yield [expertCase(new Random(seed), shape), expertCase(new Random(seed), { ...shape, rowByRow: true })];
        seed++;
      }
    }
  }
});

testCompliance('key/value tiles with biases and norms', function* () {
  let seed = 0;
  for (const kv of KV_FORMAT_NAMES) {
    for (const style of STYLES) {
      for (const headDim of [8, 40, 64, 128, 512]) {
        for (const [biased, normed] of [
          [true, 'none'],
          [false, 'each'],
          [true, 'each'],
          [true, 'all'],
        ] as const) {
          const rows = { format: 'Q8_0', last: 'Q8_0', rows: 3, first: 1, style, fresh: true } as const;
          const shape = { ...rows, kv, headDim, ofFirst: 2, positions: [62, 130], biased, normed } as const;
          yield keyValueCase(new Random(seed++), shape);
        }
      }
    }
  }
});

testCompliance('attention tiles with biases, norms, windows, bounded scores and sinks', function* () {
  let seed = 0;
  for (const kv of KV_FORMAT_NAMES) {
    for (const style of STYLES) {
      for (const [window, softCap, hasSinks] of [
        [0, 0, false],
        [1, 0, false],
        [70, 50, false],
        [20, 0, true],
        [64, 30, true],
      ] as const) {
        const rows = { format: 'Q8_0', last: 'Q8_0', rows: 5, first: 1, style, fresh: true } as const;
        const shape = { ...rows, kv, ofFirst: 3, positions: [62, 130], window, softCap, hasSinks } as const;
        for (const [headDim, group, kvHeads] of [
          [8, 5, 3],
          [40, 3, 2],
          [64, 1, 1],
        ] as const) {
          const heads = { headDim, group, kvHeads, biased: seed % 3 > 0, normed: HEAD_NORMS[(seed % 4) % 3]! };
          yield attentionCase(new Random(seed++), { ...shape, ...heads });
        }
      }
    }
  }
});

testCompliance('key/value and attention tiles over pages of two sequences', function* () {
  let seed = 0;
  for (const kv of KV_FORMAT_NAMES) {
    for (const format of ['Q8_0', 'F16'] as const) {
      for (const [first, ofFirst] of [
        [0, 1],
        [1, 4],
        [3, 0],
      ] as const) {
        const rows = { format, last: format, rows: 7, first, style: 'normal', fresh: true } as const;
        const positions = [62, 130] as const;
        const shape = { ...rows, kv, headDim: 40, ofFirst, positions, biased: false, normed: 'none' } as const;
        yield keyValueCase(new Random(seed++), shape);
        yield attentionCase(new Random(seed++), {
          ...shape,
          group: 3,
          kvHeads: 2,
          window: 0,
          softCap: 0,
          hasSinks: false,
        });
      }
    }
  }
});
