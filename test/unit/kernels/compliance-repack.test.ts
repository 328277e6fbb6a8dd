import assert from 'node:assert/strict';
import { matrixBytes, sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../../kernels/formats.ts';
import { testCompliance, testEveryBackend } from '../../fixtures/compliance.ts';
import { input, output } from '../../fixtures/kernel-bench.ts';
import { FORMATS } from '../../fixtures/kernel-cases.ts';
import { FINITE_STYLES, QUANT_STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';
import { type RepackShape, repackCase } from '../../fixtures/repack-cases.ts';
import { HALVES } from '../../fixtures/source-rows.ts';
import { sourceWeight, tileWeight } from '../../fixtures/weight-values.ts';

/** rows × cols in outRows × outCols, columns in blocks. */
const SHAPES = [
  [8, 1, 8, 1],
  [1, 1, 8, 2],
  [7, 2, 16, 2],
  [13, 3, 24, 4],
  [0, 1, 8, 1],
] as const;
/** For the small blocks. */
const WIDE_SHAPES = [[13, 11, 24, 12]] as const;
/** In columns, where a format has no blocks. */
const FLOAT_SHAPES = [
  [3, 1, 8, 32],
  [9, 33, 16, 64],
  [8, 172, 8, 192],
] as const;

function* shapes(format: WeightFormat): Generator<Omit<RepackShape, 'style'>> {
  const { activation, tileBlockCols } = WEIGHT_FORMATS[format];
  for (const [rows, blocks, outRows, outBlocks] of tileBlockCols === 32 ? [...SHAPES, ...WIDE_SHAPES] : SHAPES) {
    yield { format, rows, cols: blocks * tileBlockCols, outRows, outCols: outBlocks * tileBlockCols };
  }
  if (activation !== 'f32') return;
  for (const [rows, cols, outRows, outCols] of FLOAT_SHAPES) yield { format, rows, cols, outRows, outCols };
}

for (const format of FORMATS) {
  testCompliance(`repack of ${format}`, function* () {
    let seed = 0;
    for (const shape of shapes(format)) {
      for (const style of QUANT_STYLES) yield repackCase(new Random(seed++), { ...shape, style });
    }
  });

  testEveryBackend(`the tile of ${format} holds the weights of the file, and zero bytes elsewhere`, (bench) => {
    for (const [shape, style] of [...shapes(format)].flatMap((shape) =>
      FINITE_STYLES.map((s) => [shape, s] as const),
    )) {
      const { rows, cols, outRows, outCols } = shape;
      const kernelCase = repackCase(new Random(5), { ...shape, style });
      const { result, buffers } = bench.run(kernelCase);
      assert.equal(result, true);
      const source = kernelCase.buffers.source!.bytes;
      const stride = rows > 1 ? (source.length - sourceBytes(format, cols)) / (rows - 1) : 0;
      const padding = bench.run(zeroCase(format, outRows, outCols)).buffers.out!;
      assert.ok(padding.every((byte) => byte === 0));
      for (let row = 0; row < outRows; row++) {
        for (let col = 0; col < outCols; col++) {
          const expected = row < rows && col < cols ? sourceWeight(format, source.subarray(row * stride), col) : 0;
          const actual = tileWeight(format, buffers.out!, outCols, row, col);
          // Padding of a quantised format is −8 · 0 = −0: a zero all the same.
          assert.ok(actual === expected, `${kernelCase.name}: row ${row}, column ${col}: ${actual}, not ${expected}`);
        }
      }
    }
  });

  testEveryBackend(`repack of ${format} finds what is not finite`, (bench) => {
    const { sourceBlockBytes, tileBlockCols } = WEIGHT_FORMATS[format];
    const [rows, cols] = [3, 2 * tileBlockCols];
    const rowBytes = sourceBytes(format, cols);
    const good = new Uint8Array(rows * rowBytes);
    const repack = (source: Uint8Array, name: string) =>
      bench.run({
        name: `repack of ${format} ${name}`,
        buffers: { source: input('u8', source), out: output('u8', new Uint8Array(matrixBytes(format, 8, cols))) },
        run: (kernels, at) => kernels.repack(format, at('source'), rowBytes, rows, cols, at('out'), 8, cols),
      }).result;
    for (const [offset, value] of infinities(format)) {
      for (const block of [0, 1, good.length / sourceBlockBytes - 1]) {
        const source = good.slice();
        source.set(value, block * sourceBlockBytes + offset);
        assert.equal(repack(source, `with ${value} at ${offset} of block ${block}`), false);
      }
    }
    // Everything else may be all ones: integers are always finite.
    const ones = good.slice().fill(0xff);
    for (const [offset, value] of infinities(format)) {
      for (let at = offset; at < ones.length; at += sourceBlockBytes)
        ones.set(
          value.map((byte) => byte & 0x7b),
          at,
        );
    }
    assert.equal(repack(ones, 'of ones'), true);
  });
}

/** Places in a block and the bytes that make the block there infinite or NaN. */
function infinities(format: WeightFormat): [number, Uint8Array][] {
  if (format === 'MXFP4') return [[0, Uint8Array.of(0xff)]];
  const float = format === 'F32' || format === 'F16' || format === 'BF16';
  const places = float ? [WEIGHT_FORMATS[format].sourceBlockBytes - 2] : HALVES[format];
  const upper = format === 'F32' || format === 'BF16' ? 0x7f80 : 0x7c00;
  return places.flatMap((place) =>
    [upper, upper | 0x8000, upper | 1].map((bits): [number, Uint8Array] => [place, Uint8Array.of(bits, bits >> 8)]),
  );
}

const zeroCase = (format: WeightFormat, outRows: number, outCols: number) =>
  repackCase(new Random(1), {
    format,
    rows: 0,
    cols: WEIGHT_FORMATS[format].tileBlockCols,
    outRows,
    outCols,
    style: 'normal',
  });
