// The reference against straightforward float64 mathematics, so that the oracle itself stands on something.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { f32View, f64View, SegmentArena, u32View } from '../../../kernels/arena.ts';
import {
  type ActivationFormat,
  activationBytes,
  BLOCK,
  KV_FORMAT_NAMES,
  KV_PAGE,
  kvPageBytes,
  panelBytes,
  sourceBytes,
  WEIGHT_FORMATS,
} from '../../../kernels/formats.ts';
import type { Address } from '../../../kernels/kernels.ts';
import { createReferenceKernels } from '../../../kernels/reference.ts';
import { matmulCase } from '../../fixtures/compute-cases.ts';
import { FORMATS } from '../../fixtures/kernel-cases.ts';
import { Random } from '../../fixtures/random.ts';
import { tileBytes } from '../../fixtures/tile-values.ts';
import { sourceWeight, tileWeight } from '../../fixtures/weight-values.ts';

function setUp(bytes = 2 ** 20) {
  const arena = new SegmentArena('reference', bytes);
  arena.alloc(64);
  const { segments } = arena.handle() as { segments: readonly SharedArrayBuffer[] };
  const floats = (values: Iterable<number>): Address => {
    const list = Float32Array.from(values);
    const address = arena.alloc(list.byteLength);
    f32View(arena, address, list.length).set(list);
    return address;
  };
  const read = (address: Address, count: number): number[] => Array.from(f32View(arena, address, count));
  const kernels = createReferenceKernels(segments);
  const panel = (x: Address, cols: number, rows: number, format: ActivationFormat = 'q8'): Address => {
    const address = arena.alloc(panelBytes(format, cols, rows));
    kernels.packPanel(format, x, activationBytes(format, cols), cols, rows, address);
    return address;
  };
  return { arena, kernels, floats, read, panel };
}

const draw = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => Math.fround(random.normal()));

function assertNear(actual: number, expected: number, tolerance: number, where: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${where}: ${actual}, not ${expected}`);
}

for (const format of FORMATS) {
  test(`the product with ${format} is Σ w·x within 1e-6 of Σ |w·x|`, () => {
    const [rows, cols, outRows] = [3, Math.max(96, 2 * WEIGHT_FORMATS[format].tileBlockCols), 16];
    const { arena, kernels, floats, read, panel } = setUp();
    const random = new Random(3);
    const tile = tileBytes(random, format, outRows, cols, 'normal');
    const weights = arena.alloc(tile.length);
    arena.bytes(weights, tile.length).set(tile);
    const quantized = WEIGHT_FORMATS[format].activation === 'q8';
    const values = draw(random, rows * cols);
    const source = floats(values);
    const stride = activationBytes(quantized ? 'q8' : 'f32', cols);
    const x = quantized ? arena.alloc(rows * stride) : source;
    if (quantized) {
      assert.equal(kernels.quantize(source, cols * 4, cols, rows, x, stride), true);
      for (let r = 0; r < rows; r++) {
        const bytes = arena.bytes(x + r * stride, stride).slice();
        const view = new DataView(bytes.buffer);
        for (let c = 0; c < cols; c++) {
          const scale = view.getFloat32(cols + 4 * Math.floor(c / BLOCK), true);
          const value = view.getInt8(c) * scale;
          // Half a step of the block, and the roundings of scale and quotient.
          assertNear(value, values[r * cols + c]!, scale * 0.50001, `quantised value ${c} of row ${r}`);
          values[r * cols + c] = value;
        }
      }
    }
    const out = arena.alloc(rows * outRows * 4);
    const input = panel(x, cols, rows, WEIGHT_FORMATS[format].activation);
    kernels.matmul(format, weights, outRows, cols, input, rows, out, outRows * 4);
    const products = read(out, rows * outRows);
    for (let r = 0; r < rows; r++) {
      for (let o = 0; o < outRows; o++) {
        let sum = 0;
        let size = 0;
        for (let c = 0; c < cols; c++) {
          const term = tileWeight(format, tile, cols, o, c) * values[r * cols + c]!;
          sum += term;
          size += Math.abs(term);
        }
        assertNear(products[r * outRows + o]!, sum, 1e-6 * size, `row ${r}, output ${o}`);
      }
    }
  });
}

test('a float product adds columns in eight lanes and then as a tree', () => {
  const { arena, kernels, floats, read, panel } = setUp();
  const row = new Array<number>(32).fill(0);
  row[0] = 2 ** 24;
  row[1] = 1;
  row[8] = 1; // lane 0: lost beside 2^24
  row[9] = 1; // lane 1: meets the other 1 first
  const x = floats(row);
  const weights = floats(new Array(8 * 32).fill(1));
  const out = arena.alloc(32);
  kernels.matmul('F32', weights, 8, 32, panel(x, 32, 1, 'f32'), 1, out, 32);
  assert.deepEqual(read(out, 8), new Array(8).fill(2 ** 24 + 2));
});

test('a quantised product rounds after each block', () => {
  const { arena, kernels, read, panel } = setUp();
  const cols = 96;
  const tile = new Uint8Array(3 * 272);
  const view = new DataView(tile.buffer);
  // Row 0: scale 1 and one weight of 1 a block.
  for (let block = 0; block < 3; block++) {
    view.setUint16(block * 272, 0x3c00, true);
    view.setInt8(block * 272 + 16, 1);
  }
  const weights = arena.alloc(tile.length);
  arena.bytes(weights, tile.length).set(tile);
  const stride = activationBytes('q8', cols);
  const x = arena.alloc(stride);
  const activations = new DataView(arena.bytes(x, stride).buffer, x);
  for (const [block, scale] of [2 ** 24, 1, 1].entries()) {
    activations.setInt8(block * 32, 1);
    activations.setFloat32(cols + 4 * block, scale, true);
    activations.setInt16(cols + 12 + 4 * block, 1, true);
  }
  const out = arena.alloc(32);
  kernels.matmul('Q8_0', weights, 8, cols, panel(x, cols, 1), 1, out, 32);
  assert.deepEqual(read(out, 8), [2 ** 24, 0, 0, 0, 0, 0, 0, 0]);
});

test('a super-block keeps products and minima apart, and rounds each by its own scale', () => {
  const { arena, kernels, read, panel } = setUp();
  const cols = 256;
  // Q4_K, row 0: d = 2, dmin = 0.5; run 0 has scale 3 and one weight of 5, run 1 the minimum 63.
  const tile = new Uint8Array(1184);
  const view = new DataView(tile.buffer);
  view.setUint16(0, 0x4000, true);
  view.setUint16(16, 0x3800, true);
  view.setUint8(32, 3);
  view.setUint8(96 + 8, 63);
  view.setUint8(160, 5);
  const weights = arena.alloc(tile.length);
  arena.bytes(weights, tile.length).set(tile);
  const stride = activationBytes('q8', cols);
  const x = arena.alloc(stride);
  const activations = new DataView(arena.bytes(x, stride).buffer, x);
  activations.setInt8(0, 7);
  activations.setFloat32(cols, 2 ** 24, true);
  activations.setInt16(cols + 32, 7, true);
  // Block 1: −1 in both halves.
  activations.setInt8(32, -1);
  activations.setInt8(63, -1);
  activations.setFloat32(cols + 4, 2 ** -24, true);
  activations.setInt16(cols + 36, -1, true);
  activations.setInt16(cols + 38, -1, true);
  const out = arena.alloc(32);
  kernels.matmul('Q4_K', weights, 8, cols, panel(x, cols, 1), 1, out, 32);
  // t = 3·5·7·2^24; u = 63·(−2·2^-24), which the difference then loses beside t.
  assert.deepEqual(read(out, 8), [2 * 105 * 2 ** 24, 0, 0, 0, 0, 0, 0, 0]);
  activations.setFloat32(cols, 0, true);
  kernels.matmul('Q4_K', weights, 8, cols, panel(x, cols, 1), 1, out, 32);
  assert.equal(read(out, 1)[0], 0.5 * 63 * 2 ** -23);
});

test('rmsnorm is x / √(mean(x²) + ε) · weight within 1e-6', () => {
  const { arena, kernels, floats, read } = setUp();
  const [dim, cols, rows, eps] = [172, 192, 2, 1e-5];
  const random = new Random(4);
  const padded = (): number[] => [...draw(random, dim), ...new Array(cols - dim).fill(0)];
  const values = [padded(), padded()];
  const gains = padded();
  const out = arena.alloc(rows * cols * 4);
  kernels.rmsnorm(floats(values.flat()), cols * 4, floats(gains), dim, cols, rows, eps, out, cols * 4);
  const normed = read(out, rows * cols);
  for (let r = 0; r < rows; r++) {
    const mean = values[r]!.reduce((sum, value) => sum + value * value, 0) / dim;
    for (let c = 0; c < cols; c++) {
      const expected = (values[r]![c]! / Math.sqrt(mean + eps)) * gains[c]!;
      assertNear(normed[r * cols + c]!, expected, 1e-6 * Math.abs(expected), `row ${r}, column ${c}`);
    }
  }
});

test('rope turns each pair by its angle', () => {
  const { kernels, floats, read } = setUp();
  const [heads, headDim] = [3, 8];
  const values = draw(new Random(5), heads * headDim);
  const angles = [0, 1.25, Math.PI / 2, 3];
  const x = floats(values);
  kernels.rope(x, heads, headDim, floats(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)])));
  const turned = read(x, heads * headDim);
  for (let i = 0; i < values.length; i += 2) {
    const angle = angles[(i % headDim) / 2]!;
    const [a, b] = [values[i]!, values[i + 1]!];
    assertNear(turned[i]!, a * Math.cos(angle) - b * Math.sin(angle), 1e-6, `${i}`);
    assertNear(turned[i + 1]!, a * Math.sin(angle) + b * Math.cos(angle), 1e-6, `${i + 1}`);
  }
});

const ATTENTION = KV_FORMAT_NAMES.flatMap((format) =>
  [
    { positions: 1, headDim: 32 },
    { positions: 5, headDim: 8 },
    { positions: 64, headDim: 32 },
    { positions: 65, headDim: 80 },
    { positions: 200, headDim: 40 },
    { positions: 200, headDim: 8 },
  ].map((shape) => ({ format, ...shape })),
);

for (const { format, positions, headDim } of ATTENTION) {
  test(`attention over ${positions} positions in ${format}, ${headDim} wide, is softmax(q·k)·v`, () => {
    const { arena, kernels, floats, read } = setUp(2 ** 22);
    const heads = 2;
    const scale = 1 / Math.sqrt(headDim);
    const random = new Random(positions);
    const pages = Math.ceil(positions / KV_PAGE);
    const kv = arena.alloc((pages + 1) * kvPageBytes(format, headDim));
    const table = arena.alloc(pages * 4);
    // Pages in reverse, after one that is not used.
    u32View(arena, table, pages).set(Array.from({ length: pages }, (_, i) => pages - i));
    // Multiples of 1/64 up to 127/64, which occurs in each run of 32, are exact in f16 and in q8.
    const coarse = (): number[] =>
      Array.from({ length: headDim }, (_, d) => (d % 32 === 0 ? 127 : random.between(-127, 127)) / 64);
    const keys = Array.from({ length: positions }, coarse);
    const values = Array.from({ length: positions }, coarse);
    const [k, v] = [floats(keys.flat()), floats(values.flat())];
    for (let p = 0; p < positions; p++) {
      const page = kv + (pages - Math.floor(p / KV_PAGE)) * kvPageBytes(format, headDim);
      kernels.kvStore(format, k + p * headDim * 4, v + p * headDim * 4, headDim, page, p % KV_PAGE);
    }
    const queries = draw(random, heads * headDim).map((value) => value * 3);
    const out = arena.alloc(heads * headDim * 4);
    kernels.attend(format, floats(queries), 0, 1, heads, headDim, scale, kv, table, positions, out, 0, 0, 0, null);
    const attended = read(out, heads * headDim);
    for (let head = 0; head < heads; head++) {
      const q = queries.slice(head * headDim, (head + 1) * headDim).map(Math.fround);
      const scores = keys.map((key) => key.reduce((sum, value, d) => sum + value * q[d]!, 0) * scale);
      const most = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - most));
      const total = shares.reduce((sum, share) => sum + share, 0);
      for (let d = 0; d < headDim; d++) {
        const expected = shares.reduce((sum, share, p) => sum + share * values[p]![d]!, 0) / total;
        // Values are below 2; scores, below 100, carry an error of a few 1e-6 into their exponentials' relative error,
        // and in q8 that of a query rounded to 16 bits.
        const tolerance = format === 'f16' ? 2e-6 * 4 : 4e-4;
        assertNear(attended[head * headDim + d]!, expected, tolerance, `head ${head}, dimension ${d}`);
      }
    }
  });
}

test('residual adds sums in units of 2^-24', () => {
  const { arena, kernels, floats, read } = setUp();
  const x = floats([1, -2, 0.5]);
  const sums = arena.alloc(24);
  f64View(arena, sums, 3).set([2 ** 24, 2 ** 23, -1]);
  kernels.residual(x, sums, 3);
  assert.deepEqual(read(x, 3), [2, -1.5, Math.fround(0.5 - 2 ** -24)]);
});

test('a residual in parts: sums as numbers, a bias, a scale', () => {
  const { arena, kernels, floats, read } = setUp();
  const [x, bias] = [floats([1, -2, 0.5, 0, 0, 0, 0, 0]), floats([0.25, 0.5, 0, 0, 0, 0, 0, 1])];
  const sums = arena.alloc(64);
  const y = arena.alloc(32);
  // 2^24 + 1 in units of 2^-24 is no f32.
  f64View(arena, sums, 8).set([2 ** 24, 2 ** 23, -1, 2 ** 24 + 1, 0, 0, 0, 0]);
  kernels.fromSums(sums, 8, y);
  assert.deepEqual(read(y, 4), [1, 0.5, -(2 ** -24), 1]);
  kernels.addScaled(y, bias, 1, 8);
  kernels.addScaled(x, y, 0.22, 8);
  const scaled = (value: number): number => Math.fround(Math.fround(0.22) * value);
  const expected = [1 + scaled(1.25), -2 + scaled(1), 0.5 + scaled(-(2 ** -24)), scaled(1), 0, 0, 0, scaled(1)];
  assert.deepEqual(read(x, 8), expected.map(Math.fround));
});

test('a row repacked and multiplied gives the file row', () => {
  // Multiplying by a unit vector reads one column out of the tile.
  const { arena, kernels, floats, read, panel } = setUp();
  const [rows, cols] = [5, 40];
  const values = draw(new Random(6), rows * cols);
  const source = floats(values);
  const tile = arena.alloc(8 * 64 * 4);
  assert.equal(kernels.repack('F32', source, sourceBytes('F32', cols), rows, cols, tile, 8, 64), true);
  const out = arena.alloc(32);
  for (const column of [0, 7, 31, 32, 39]) {
    const unit = new Array<number>(64).fill(0);
    unit[column] = 1;
    kernels.matmul('F32', tile, 8, 64, panel(floats(unit), 64, 1, 'f32'), 1, out, 32);
    const row = (r: number): Uint8Array => arena.bytes(source + r * cols * 4, cols * 4);
    const expected = Array.from({ length: 8 }, (_, r) => (r < rows ? sourceWeight('F32', row(r), column) : 0));
    assert.deepEqual(read(out, 8), expected);
  }
});

test('a buffer that leaves its segment, or is in none, is refused', () => {
  const { arena, kernels } = setUp(4096);
  const x = arena.alloc(64);
  assert.throws(() => kernels.glu('silu', x, x, 4096), RangeError);
  assert.throws(() => kernels.glu('silu', x + 2, x, 8), RangeError);
  assert.throws(() => kernels.glu('silu', 2 ** 32, x, 8), RangeError);
});

test('cases are the same for the same seed', () => {
  const make = (seed: number) =>
    matmulCase(new Random(seed), { format: 'Q4_0', rows: 2, cols: 64, outRows: 8, style: 'bits', xStyle: 'normal' });
  assert.deepEqual(make(9).buffers, make(9).buffers);
  assert.notDeepEqual(make(9).buffers, make(10).buffers);
});

test('a row is normed by a factor and a weight for each value, each product rounded', () => {
  const { kernels, floats, read } = setUp();
  const random = new Random(13);
  const [values, weights, [factor]] = [draw(random, 16), draw(random, 16), draw(random, 1) as [number]];
  const x = floats(values);
  kernels.applyNorm(x, floats(weights), floats([factor]), 16);
  assert.deepEqual(
    read(x, 16),
    values.map((value, i) => Math.fround(Math.fround(value * factor) * weights[i]!)),
  );
});
