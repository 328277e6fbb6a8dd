import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dequantizeRow, EmbeddingReader, readVector } from '../../../../coordinator/model/dequantize.ts';
import { type GgufFile, openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../../../../coordinator/model/model-spec.ts';
import type { Weight } from '../../../../coordinator/model/spec.ts';
import type { TensorInfo } from '../../../../coordinator/model/tensor-info.ts';
import { isWeightFormat, sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../../../kernels/formats.ts';
import { floatBits } from '../../../../kernels/scalar.ts';
import { writeGguf } from '../../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, minimalTensors, starlingError } from '../../../fixtures/gguf.ts';
import { FINITE_STYLES } from '../../../fixtures/kernel-values.ts';
import { Random } from '../../../fixtures/random.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';
import { sourceRow } from '../../../fixtures/source-rows.ts';
import { sourceWeight } from '../../../fixtures/weight-values.ts';

const FORMATS = Object.keys(WEIGHT_FORMATS) as WeightFormat[];
const NO_DATA = 'shared data is not here';

/** Of quantization/ggml_dequant_goldens.json. */
interface Goldens {
  readonly formats: Readonly<Record<string, { bytes_hex: string; expected_f32_bits_hex: string[] }>>;
}

const TINY_CHAT_QUANTS = [
  'f16',
  'bf16',
  'q8_0',
  'q6_k',
  'q5_k_m',
  'q5_1',
  'q5_0',
  'q4_k_m',
  'q4_1',
  'q4_0',
  'iq4_nl',
  'iq4_xs',
  'q3_k_m',
  'q2_k',
] as const;

/**
 * Root mean square error relative to that of the weights, a quarter above what llama.cpp's quantiser leaves on these
 * bell-shaped weights: each bit less doubles it, and a value or scale taken from the wrong place makes it about 1.4.
 */
const LARGEST_ERROR: Readonly<Record<WeightFormat, number>> = {
  F32: 0,
  F16: 2 ** -12,
  BF16: 2 ** -9,
  Q8_0: 0.008,
  Q6_K: 0.026,
  Q5_K: 0.046,
  Q5_1: 0.053,
  Q5_0: 0.063,
  Q4_K: 0.1,
  Q4_1: 0.11,
  Q4_0: 0.13,
  IQ4_NL: 0.108,
  IQ4_XS: 0.108,
  MXFP4: 0.2,
  Q3_K: 0.21,
  Q2_K: 0.38,
};

/** Decodes hex; the bits of the values, as ggml's goldens state theirs. */
function decode(format: WeightFormat, hex: string, cols: number): string[] {
  const into = new Float32Array(cols);
  dequantizeRow(format, Buffer.from(hex.replaceAll(' ', ''), 'hex'), cols, into);
  return Array.from(new Uint32Array(into.buffer), (bits) => bits.toString(16).padStart(8, '0'));
}

describe('dequantizeRow', () => {
  it('keeps the bits of F32, NaN payloads too', () => {
    assert.deepEqual(decode('F32', '0000803f 01000080 3412c07f', 3), ['3f800000', '80000001', '7fc01234']);
  });

  it('widens F16: normal, denormal, largest, zeros, infinities', () => {
    assert.deepEqual(decode('F16', '003c 0100 ff03 0004 ff7b 0000 0080 007c 00fc 55b5', 10), [
      '3f800000',
      '33800000',
      '387fc000',
      '38800000',
      '477fe000',
      '00000000',
      '80000000',
      '7f800000',
      'ff800000',
      'beaaa000',
    ]);
    assert.ok(Number.isNaN(valuesOf('F16', Buffer.from('017e', 'hex'), 1)[0]));
  });

  it('widens BF16', () => {
    assert.deepEqual(decode('BF16', '803f 0100 ff7f 0080', 4), ['3f800000', '00010000', '7fff0000', '80000000']);
  });

  it('decodes Q8_0', () => {
    // Scale 0x3555 = 0.333251953125.
    const quants = ['00', '01', 'ff', '7f', '80', ...Array<string>(27).fill('02')].join('');
    const values = decode('Q8_0', `5535 ${quants}`, 32);
    assert.deepEqual(values.slice(0, 6), ['00000000', '3eaaa000', 'beaaa000', '42294ac0', 'c22aa000', '3f2aa000']);
    assert.deepEqual(new Set(values.slice(5)), new Set(['3f2aa000']));
  });

  it('decodes Q4_0: low nibbles first, then high ones', () => {
    // Scale 0xb800 = -0.5; the bytes 0x10, 0x32, ... hold ascending nibbles pairwise.
    const bytes = Array.from({ length: 16 }, (_, i) => (((15 - i) << 4) | i).toString(16).padStart(2, '0'));
    const values = valuesOf('Q4_0', Buffer.from(`00b8${bytes.join('')}`, 'hex'), 32);
    const low = Array.from({ length: 16 }, (_, n) => -0.5 * (n - 8));
    assert.deepEqual([...values], [...low, ...low.toReversed()]);
    assert.ok(Object.is(values[8], -0));
  });

  it('decodes a denormal scale exactly', () => {
    // 0x0003 = 3 · 2^-24.
    const values = valuesOf('Q8_0', Buffer.from(`0300${'7f'.repeat(32)}`, 'hex'), 32);
    assert.ok(values.every((value) => value === 381 * 2 ** -24));
  });

  it('decodes Q4_1 and Q5_1: times the scale, plus the offset, rounded once', () => {
    // Scale 0x3555 = 0.333251953125, offset 0x4bff = 15.9921875; every nibble 15, every fifth bit 1.
    const four = decode('Q4_1', `5535 ff4b ${'ff'.repeat(16)}`, 32);
    assert.deepEqual(new Set(four), new Set([bitsOf(15 * 0.333251953125 + 15.9921875)]));
    const five = decode('Q5_1', `5535 ff4b ffffffff ${'ff'.repeat(16)}`, 32);
    assert.deepEqual(new Set(five), new Set([bitsOf(31 * 0.333251953125 + 15.9921875)]));
  });

  it('decodes Q5_0: bit c is the fifth of column c', () => {
    // Scale 1; only columns 0, 17 and 31 have their fifth bit.
    const values = valuesOf('Q5_0', Buffer.from(`003c01000280${'00'.repeat(16)}`, 'hex'), 32);
    assert.deepEqual(
      [...values],
      Array.from({ length: 32 }, (_, c) => ([0, 17, 31].includes(c) ? 0 : -16)),
    );
  });

  it('decodes MXFP4 at both ends of its exponent', () => {
    const ascending = Array.from({ length: 16 }, (_, n) => `${n.toString(16)}${n.toString(16)}`).join('');
    // 2^-128, a denormal; and 2^126, of which four are no f32 any more.
    assert.equal(decode('MXFP4', `00${ascending}`, 32)[1], '00200000');
    const large = valuesOf('MXFP4', Buffer.from(`fe${ascending}`, 'hex'), 32);
    assert.deepEqual([...large.subarray(0, 6)], [0, 2 ** 126, 2 ** 127, 1.5 * 2 ** 127, Infinity, Infinity]);
    assert.deepEqual([...large.subarray(8, 11)], [0, -(2 ** 126), -(2 ** 127)]);
  });

  it('decodes random and extreme rows as the formats define them, at odd addresses', () => {
    const random = new Random(7);
    for (const format of FORMATS) {
      for (const style of [...FINITE_STYLES, 'full'] as const) {
        const cols = 3 * Math.max(32, WEIGHT_FORMATS[format].sourceBlockValues);
        const bytes = sourceBytes(format, cols);
        const room = new Uint8Array(bytes + 3);
        room.set(sourceRow(random, format, cols, style), 3);
        const row = room.subarray(3);
        const into = new Float32Array(cols + 2).fill(9);
        dequantizeRow(format, row, cols, into);
        for (let col = 0; col < cols; col++) {
          const expected = Math.fround(sourceWeight(format, row, col));
          // −0 is a zero here; that its sign is ggml's too is what the goldens tell.
          assert.ok(into[col] === expected, `${format} ${style} ${col}: ${into[col]}, not ${expected}`);
        }
        assert.deepEqual([...into.subarray(cols)], [9, 9]);
      }
    }
  });

  const goldens = sharedData('quantization/ggml_dequant_goldens.json');
  for (const format of ['Q2_K', 'Q3_K', 'IQ4_NL', 'IQ4_XS', 'MXFP4'] as const) {
    it(`decodes ggml's ${format} blocks to ggml's bits`, { skip: goldens === null && NO_DATA }, async () => {
      if (goldens === null) return;
      const { formats } = JSON.parse(await readFile(goldens, 'utf8')) as Goldens;
      const golden = formats[format.toLowerCase()];
      assert.ok(golden !== undefined && golden.expected_f32_bits_hex.length >= 32);
      const bits = golden.expected_f32_bits_hex;
      assert.deepEqual(decode(format, golden.bytes_hex, bits.length), bits);
    });
  }

  it('refuses what does not fit', () => {
    const row = new Uint8Array(34);
    assert.throws(() => dequantizeRow('Q8_0', row, 64, new Float32Array(64)), starlingError('internal'));
    assert.throws(() => dequantizeRow('Q8_0', row, 32, new Float32Array(31)), starlingError('internal'));
    assert.throws(() => dequantizeRow('Q8_0', row, 16, new Float32Array(32)), starlingError('internal'));
  });

  const full = sharedData('models/tiny-chat-f32.gguf');
  for (const quant of TINY_CHAT_QUANTS) {
    const path = sharedData(`models/tiny-chat-${quant}.gguf`);
    const skip = (full === null || path === null) && NO_DATA;
    it(`decodes the weights that llama.cpp quantised to ${quant} to about what they were`, { skip }, async () => {
      if (full === null || path === null) return;
      const exact = await openGguf(full);
      const rounded = await openGguf(path);
      try {
        const seen = new Set<string>();
        for (const tensor of rounded.tensors.values()) {
          const original = exact.tensors.get(tensor.name);
          assert.ok(original !== undefined && isWeightFormat(tensor.type));
          // The embedding whole; of other matrices some rows, since all are of a few types.
          const rows = tensor.name === 'token_embd.weight' ? tensor.dims[1]! : Math.min(16, tensor.dims[1] ?? 1);
          const error = relativeError(await rowsOf(exact, original, rows), await rowsOf(rounded, tensor, rows));
          assert.ok(error <= LARGEST_ERROR[tensor.type], `${tensor.name}, ${tensor.type}: ${error}`);
          seen.add(tensor.type);
        }
        // A type that the file is named after is in it.
        const base = quant.toUpperCase().replace(/_M$/, '');
        assert.ok(seen.has(base), `${base} is not among ${[...seen].join(', ')}`);
      } finally {
        await exact.close();
        await rounded.close();
      }
    });
  }
});

describe('readVector and EmbeddingReader', () => {
  let folder = '';
  let model: GgufFile;
  let embedding: Weight;
  let reads = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-embedding-'));
    const path = join(folder, 'model.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors('Q4_0') });
    const opened = await openGguf(path);
    model = {
      ...opened,
      path: opened.path,
      metadata: opened.metadata,
      tensors: opened.tensors,
      read: (...args) => {
        reads += 1;
        return opened.read(...args);
      },
      close: () => opened.close(),
    };
    embedding = (await readModelSpec(model)).embedding;
  });
  after(async () => {
    await model.close();
    await rm(folder, { recursive: true });
  });

  it('reads vectors', async () => {
    const tensor = model.tensors.get('output_norm.weight');
    assert.ok(tensor !== undefined);
    const bytes = new Uint8Array(128);
    await model.read(tensor, 0, 128, bytes);
    assert.deepEqual(await readVector(model, tensor), new Float32Array(bytes.buffer));
  });

  it('reads rows, each once while it is in the cache', async () => {
    const expected = async (token: number) => {
      const bytes = new Uint8Array(18);
      await model.read(embedding, token * 18, 18, bytes);
      return Float32Array.from({ length: 32 }, (_, col) => sourceWeight('Q4_0', bytes, col));
    };
    const rows = await Promise.all([0, 1, 2].map(expected));
    const embeddings = new EmbeddingReader(model, embedding, 2 * 18);
    const into = new Float32Array(32);
    const check = async (token: number, readsExpected: number) => {
      reads = 0;
      await embeddings.row(token, into);
      assert.deepEqual(into, rows[token]);
      assert.equal(reads, readsExpected, `reads for token ${token}`);
    };
    await check(0, 1);
    await check(0, 0);
    await check(1, 1);
    await check(0, 0);
    await check(2, 1);
    await check(0, 0);
    await check(1, 1);

    reads = 0;
    const both = [new Float32Array(32), new Float32Array(32)] as const;
    await Promise.all(both.map((row) => embeddings.row(2, row)));
    assert.equal(reads, 1);
    assert.deepEqual(both[0], rows[2]);
    assert.deepEqual(both[1], rows[2]);
  });

  it('refuses tokens outside the vocabulary', async () => {
    const embeddings = new EmbeddingReader(model, embedding);
    for (const token of [-1, 3, 0.5, Number.NaN]) {
      await assert.rejects(
        embeddings.row(token, new Float32Array(32)),
        starlingError('invalid_request', String(token)),
      );
    }
  });

  it('does not remember a failed read', async () => {
    let fail = true;
    const flaky: GgufFile = {
      ...model,
      read: (...args) => (fail ? Promise.reject(new Error('unplugged')) : model.read(...args)),
    };
    const embeddings = new EmbeddingReader(flaky, embedding);
    await assert.rejects(embeddings.row(1, new Float32Array(32)), /unplugged/);
    fail = false;
    await embeddings.row(1, new Float32Array(32));
  });
});

function valuesOf(format: WeightFormat, source: Uint8Array, cols: number): Float32Array {
  const into = new Float32Array(cols);
  dequantizeRow(format, source, cols, into);
  return into;
}

const bitsOf = (value: number): string => floatBits(value).toString(16).padStart(8, '0');

async function rowsOf(model: GgufFile, tensor: TensorInfo, rows: number): Promise<Float32Array> {
  const cols = tensor.dims[0] ?? 0;
  if (!isWeightFormat(tensor.type)) throw new Error(`${tensor.name} is ${tensor.type}`);
  const rowBytes = sourceBytes(tensor.type, cols);
  const bytes = new Uint8Array(rows * rowBytes);
  await model.read(tensor, 0, bytes.length, bytes);
  const values = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    dequantizeRow(tensor.type, bytes.subarray(row * rowBytes), cols, values.subarray(row * cols));
  }
  return values;
}

/** The root mean square of the differences, relative to that of the values. */
function relativeError(values: Float32Array, rounded: Float32Array): number {
  let square = 0;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    square += values[i]! ** 2;
    error += (rounded[i]! - values[i]!) ** 2;
  }
  return Math.sqrt(error / square);
}
