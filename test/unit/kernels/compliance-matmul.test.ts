import { BLOCK, WEIGHT_FORMATS } from '../../../kernels/formats.ts';
import { testCompliance, testPairs } from '../../fixtures/compliance.ts';
import { type MatmulShape, matmulCase, matmulSumsCase } from '../../fixtures/compute-cases.ts';
import { FORMATS } from '../../fixtures/kernel-cases.ts';
import { FINITE_STYLES, QUANT_STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';

const ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33, 64];
const COLS = [32, 64, 96, 352, 2048];
/** For formats with super-blocks of 256. */
const SUPER_COLS = [256, 512, 768, 2048];
const OUT_ROWS = [8, 16, 24, 32, 40, 48, 56, 64, 72];

testCompliance('matmul of more rows than a step has', function* () {
  const shape = { rows: 520, cols: 64, outRows: 8, style: 'normal', xStyle: 'normal' } as const;
  for (const format of ['Q4_0', 'F16'] as const) yield matmulCase(new Random(1), { ...shape, format });
});

for (const format of FORMATS) {
  const { tileBlockCols } = WEIGHT_FORMATS[format];
  const columnCounts = tileBlockCols === BLOCK ? COLS : SUPER_COLS;

  testCompliance(`matmul of ${format}, every row count with every column count`, function* () {
    let turn = 0;
    for (const rows of ROWS) {
      for (const cols of columnCounts) {
        const outRows = OUT_ROWS[turn++ % OUT_ROWS.length]!;
        yield matmulCase(new Random(turn), { format, rows, cols, outRows, style: 'normal', xStyle: 'normal' });
      }
    }
  });

  testCompliance(`matmul of ${format}, extreme values`, function* () {
    let seed = 0;
    for (const style of QUANT_STYLES) {
      for (const xStyle of QUANT_STYLES) {
        for (const rows of [1, 3, 8]) {
          yield matmulCase(new Random(seed++), {
            format,
            rows,
            cols: tileBlockCols === BLOCK ? 3 * BLOCK : 2 * tileBlockCols,
            outRows: 16,
            style,
            xStyle,
          });
        }
      }
    }
  });

  testCompliance(`matmulSums of ${format}`, function* () {
    let seed = 0;
    for (const style of QUANT_STYLES) {
      for (const rows of [1, 2, 5, 8, 13, 64]) {
        for (const tiles of [1, 640]) {
          const limit = 2 ** 53 / tiles;
          const cols = tileBlockCols * (1 + (seed % 3));
          const shape = { format, rows, cols, outRows: 24, style, xStyle: style, fresh: seed % 2 === 0, limit };
          yield matmulSumsCase(new Random(seed++), shape);
        }
      }
    }
  });

  testCompliance(`matmul of ${format}, 1 to 64 rows`, function* () {
    for (let rows = 1; rows <= 64; rows++) {
      const cols = tileBlockCols * (1 + (rows % 2));
      yield matmulCase(new Random(rows), { format, rows, cols, outRows: 16, style: 'normal', xStyle: 'bits' });
    }
  });

  testCompliance(`matmul of ${format}, more row groups and columns than kernels go over at once`, function* () {
    const shape = {
      format,
      cols: tileBlockCols === BLOCK ? 352 : 768,
      outRows: 520,
      style: 'normal',
      xStyle: 'normal',
    } as const;
    for (const rows of [1, 2, 9]) {
      yield matmulCase(new Random(rows), { ...shape, rows });
      yield matmulSumsCase(new Random(rows), { ...shape, rows, fresh: rows === 2, limit: 2 ** 53 });
    }
  });

  testPairs(`a row of ${format} has the same product alone as in a batch`, function* () {
    let seed = 0;
    for (const rows of [2, 7, 16, 64]) {
      for (const style of FINITE_STYLES) {
        const shape: MatmulShape = {
          format,
          rows,
          cols: tileBlockCols === BLOCK ? 160 : 512,
          outRows: 24,
          style,
          xStyle: style,
        };
        const batch = matmulCase(new Random(seed), shape);
        yield [batch, matmulCase(new Random(seed), { ...shape, rowByRow: true })];
        seed++;
      }
    }
  });
}
