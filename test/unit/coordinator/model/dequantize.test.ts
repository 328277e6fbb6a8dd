import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dequantizeRow, EmbeddingReader, readVector } from '../../../../coordinator/model/dequantize.ts';
import { type GgufFile, openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../../../../coordinator/model/model-spec.ts';
import type { Weight } from '../../../../coordinator/model/spec.ts';
import { sourceBytes, WEIGHT_FORMATS, type WeightFormat } from '../../../../kernels/formats.ts';
import { writeGguf } from '../../../../scripts/gguf-writer.ts';
import { randomWeights } from '../../../../scripts/random-weights.ts';
import { MINIMAL_METADATA, minimalTensors, starlingError } from '../../../fixtures/gguf.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';
import { sourceWeight } from '../../../fixtures/weight-values.ts';

const FORMATS = Object.keys(WEIGHT_FORMATS) as WeightFormat[];

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

  it('decodes random rows as the formats define them, at odd addresses', () => {
    for (const format of FORMATS) {
      const cols = 96;
      const bytes = sourceBytes(format, cols);
      const room = new Uint8Array(bytes + 8);
      randomWeights(format, 7, 0.1)(room.subarray(0, bytes), 0);
      room.copyWithin(3, 0, bytes);
      const row = room.subarray(3, 3 + bytes);
      const into = new Float32Array(cols + 2).fill(9);
      dequantizeRow(format, row, cols, into);
      for (let col = 0; col < cols; col++) assert.equal(into[col], sourceWeight(format, row, col), `${format} ${col}`);
      assert.deepEqual([...into.subarray(cols)], [9, 9]);
    }
  });

  it('refuses what does not fit', () => {
    const row = new Uint8Array(34);
    assert.throws(() => dequantizeRow('Q8_0', row, 64, new Float32Array(64)), starlingError('internal'));
    assert.throws(() => dequantizeRow('Q8_0', row, 32, new Float32Array(31)), starlingError('internal'));
    assert.throws(() => dequantizeRow('Q8_0', row, 16, new Float32Array(32)), starlingError('internal'));
  });

  const full = sharedData('models/tiny-chat-f32.gguf');
  for (const [quant, bound] of [
    ['f16', 2 ** -11],
    ['bf16', 2 ** -8],
    ['q8_0', 1 / 127],
  ] as const) {
    const path = sharedData(`models/tiny-chat-${quant}.gguf`);
    const skip = (full === null || path === null) && 'shared data is not here';
    it(`decodes llama.cpp's ${quant} weights to what they were`, { skip }, async () => {
      if (full === null || path === null) return;
      const name = 'blk.2.ffn_down.weight';
      const expected = await rowOf(full, name, 100);
      const actual = await rowOf(path, name, 100);
      // Rounding: relative to the value in floats, to the block's largest in Q8_0.
      for (let block = 0; block < expected.length; block += 32) {
        const largest = Math.max(...expected.subarray(block, block + 32).map(Math.abs));
        for (let i = block; i < block + 32; i++) {
          const scale = quant === 'q8_0' ? largest : Math.max(Math.abs(expected[i] ?? 0), 2 ** -14);
          const error = Math.abs((actual[i] ?? 0) - (expected[i] ?? 0));
          assert.ok(error <= scale * bound, `value ${i}: ${actual[i]} for ${expected[i]}`);
        }
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

async function rowOf(path: string, name: string, row: number): Promise<Float32Array> {
  const model = await openGguf(path);
  try {
    const weight = (await readModelSpec(model)).layers[2]?.down;
    assert.equal(weight?.name, name);
    const cols = weight?.dims[0] ?? 0;
    if (weight === undefined) throw new Error(`${name} is missing`);
    return await new Promise((resolve, reject) => {
      const into = new Float32Array(cols);
      new EmbeddingReader(model, weight).row(row, into).then(() => resolve(into), reject);
    });
  } finally {
    await model.close();
  }
}
