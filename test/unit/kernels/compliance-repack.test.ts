import assert from 'node:assert/strict';
import { BLOCK, matrixBytes, sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../../kernels/formats.ts';
import { testCompliance, testEveryBackend } from '../../fixtures/compliance.ts';
import { input, output } from '../../fixtures/kernel-bench.ts';
import { FORMATS } from '../../fixtures/kernel-cases.ts';
import { STYLES } from '../../fixtures/kernel-values.ts';
import { Random } from '../../fixtures/random.ts';
import { type RepackShape, repackCase } from '../../fixtures/repack-cases.ts';
import { sourceWeight, tileWeight } from '../../fixtures/weight-values.ts';

/** rows × cols in outRows × outCols; column counts off 32 only where a format has no blocks. */
const SHAPES = [
  [8, 32, 8, 32],
  [1, 32, 8, 64],
  [7, 64, 16, 64],
  [13, 352, 24, 384],
  [0, 32, 8, 32],
] as const;
const FLOAT_SHAPES = [
  [3, 1, 8, 32],
  [9, 33, 16, 64],
  [8, 172, 8, 192],
] as const;

function* shapes(format: WeightFormat): Generator<Omit<RepackShape, 'style'>> {
  const list = WEIGHT_FORMATS[format].activation === 'f32' ? [...SHAPES, ...FLOAT_SHAPES] : SHAPES;
  for (const [rows, cols, outRows, outCols] of list) yield { format, rows, cols, outRows, outCols };
}

for (const format of FORMATS) {
  testCompliance(`repack of ${format}`, function* () {
    let seed = 0;
    for (const shape of shapes(format)) {
      for (const style of STYLES) yield repackCase(new Random(seed++), { ...shape, style });
    }
  });

  testEveryBackend(`the tile of ${format} holds the weights of the file, and zero bytes elsewhere`, (bench) => {
    for (const shape of shapes(format)) {
      const { rows, cols, outRows, outCols } = shape;
      const kernelCase = repackCase(new Random(5), { ...shape, style: 'normal' });
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
    const rowBytes = sourceBytes(format, 64);
    const good = new Uint8Array(3 * rowBytes);
    const { sourceBlockBytes } = WEIGHT_FORMATS[format];
    const infinity = format === 'F32' || format === 'BF16' ? 0x7f80 : 0x7c00;
    for (const bits of [infinity, infinity | 0x8000, infinity | 1]) {
      for (const block of [0, 1, good.length / sourceBlockBytes - 1]) {
        const source = good.slice();
        const at = block * sourceBlockBytes + (format === 'F32' ? 2 : 0);
        new DataView(source.buffer).setUint16(at, bits, true);
        const { result } = bench.run({
          name: `repack of ${format} with ${bits.toString(16)} in block ${block}`,
          buffers: { source: input('u8', source), out: output('u8', new Uint8Array(matrixBytes(format, 8, 64))) },
          run: (kernels, at_) => kernels.repack(format, at_('source'), rowBytes, 3, 64, at_('out'), 8, 64),
        });
        assert.equal(result, false);
      }
    }
  });
}

const zeroCase = (format: WeightFormat, outRows: number, outCols: number) =>
  repackCase(new Random(1), { format, rows: 0, cols: BLOCK, outRows, outCols, style: 'normal' });
