import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gguf as oracle } from '@huggingface/gguf';
import type { MetadataValue } from '../../../../../coordinator/model/gguf/metadata.ts';
import { openGguf } from '../../../../../coordinator/model/gguf/reader.ts';
import { tensorTypeByName } from '../../../../../coordinator/model/gguf/tensor-types.ts';
import { writeGguf } from '../../../../../scripts/gguf-writer.ts';
import {
  MINIMAL_METADATA,
  minimalTensors,
  patternByte,
  patternTensor,
  starlingError,
} from '../../../../fixtures/gguf.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';

const QUANTS = 'bf16 f16 f32 iq4_nl iq4_xs q2_k q3_k_m q4_0 q4_1 q4_k_m q5_0 q5_1 q5_k_m q6_k q8_0'.split(' ');
/** The oracle takes seconds on vocabularies of 128 000 tokens and more; those are compared by samples below. */
const FILES = [
  'models/stories260K.gguf',
  ...QUANTS.map((quant) => `models/tiny-chat-${quant}.gguf`),
  'tokenizers/llama-spm.gguf',
];

describe('openGguf on real files', () => {
  for (const file of FILES) {
    const path = sharedData(file);
    it(`reads ${file} as @huggingface/gguf does`, { skip: path === null && 'shared data is not here' }, async () => {
      if (path === null) return;
      const expected = await oracle(path, { allowLocalFile: true, typedMetadata: true });
      const model = await openGguf(path);
      try {
        assert.equal(model.version, Number(expected.metadata.version));
        const counts = ['version', 'tensor_count', 'kv_count'];
        const keys = Object.keys(expected.typedMetadata).filter((key) => !counts.includes(key));
        assert.deepEqual([...model.metadata.keys()], keys);
        for (const key of keys) {
          assert.deepEqual(plain(model.metadata.get(key)), plainOracle(expected.typedMetadata[key]?.value), key);
        }
        assert.deepEqual(
          [...model.tensors.values()].map(({ name, type, dims, offset }) => ({ name, type, dims, offset })),
          expected.tensorInfos.map((info) => ({
            name: info.name,
            type: typeName(info.dtype),
            dims: info.shape.map(Number),
            offset: Number(expected.tensorDataOffset) + Number(info.offset),
          })),
        );
      } finally {
        await model.close();
      }
    });

    it(`knows the bytes of every tensor of ${file}`, { skip: path === null && 'shared data is not here' }, async () => {
      if (path === null) return;
      const model = await openGguf(path);
      try {
        // Writers leave no room but the alignment, so a wrong block size would show.
        const tensors = [...model.tensors.values()].sort((a, b) => a.offset - b.offset);
        tensors.forEach((tensor, i) => {
          const end = Math.ceil((tensor.offset + tensor.byteLength) / 32) * 32;
          assert.equal(end, tensors[i + 1]?.offset ?? model.parts[0]?.size, tensor.name);
        });
      } finally {
        await model.close();
      }
    });
  }

  const large = [
    ['tokenizers/llama-bpe.gguf', 128_002, 127_066],
    ['tokenizers/qwen2.gguf', 151_646, 151_387],
  ] as const;
  for (const [file, tokens, merges] of large) {
    const path = sharedData(file);
    it(`reads the large vocabulary ${file} quickly`, { skip: path === null && 'shared data is not here' }, async () => {
      if (path === null) return;
      const start = performance.now();
      const model = await openGguf(path);
      const elapsed = performance.now() - start;
      await model.close();
      // No tensors: the header is the file, but for padding.
      const [part] = model.parts;
      assert.ok(part !== undefined && part.size - part.headerBytes < 32);
      assert.equal(model.metadata.strings('tokenizer.ggml.tokens').length, tokens);
      assert.equal(model.metadata.strings('tokenizer.ggml.tokens')[0], '!');
      assert.equal(model.metadata.strings('tokenizer.ggml.merges').length, merges);
      assert.equal(model.metadata.strings('tokenizer.ggml.merges')[0], 'Ġ Ġ');
      assert.ok(model.metadata.numbers('tokenizer.ggml.token_type') instanceof Int32Array);
      // 70 ms on an idle machine; the bound leaves room for a busy one.
      assert.ok(elapsed < 1500, `took ${elapsed} ms`);
    });
  }
});

describe('openGguf', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-gguf-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('reads every kind of value, typed', async () => {
    const path = join(folder, 'values.gguf');
    await writeGguf(path, {
      metadata: {
        u8: { type: 'uint8', value: 255 },
        i8: { type: 'int8', value: -128 },
        u16: { type: 'uint16', value: 65_535 },
        i16: { type: 'int16', value: -32_768 },
        u32: { type: 'uint32', value: 4_294_967_295 },
        i32: { type: 'int32', value: -2_147_483_648 },
        u64: { type: 'uint64', value: 2 ** 53 - 1 },
        i64: { type: 'int64', value: -(2 ** 53) + 1 },
        f32: { type: 'float32', value: 0.1 },
        f64: { type: 'float64', value: 0.1 },
        yes: { type: 'bool', value: true },
        no: { type: 'bool', value: false },
        text: { type: 'string', value: 'h\u00e9\u{1f600}\ufffd' },
        none: { type: 'string', value: '' },
        strings: { type: 'array', of: 'string', value: ['', 'a', '\u2581b'] },
        ints: { type: 'array', of: 'int32', value: [-1, 2] },
        floats: { type: 'array', of: 'float32', value: [0.5, -2] },
        empty: { type: 'array', of: 'uint32', value: [] },
      },
      tensors: [],
    });
    const { metadata, tensors, close } = await opened(path);
    await close();
    assert.equal(tensors.size, 0);
    for (const [key, value] of [
      ['u8', 255],
      ['i8', -128],
      ['u16', 65_535],
      ['i16', -32_768],
      ['u32', 4_294_967_295],
      ['i32', -2_147_483_648],
      ['u64', 2 ** 53 - 1],
      ['i64', -(2 ** 53) + 1],
      ['f32', Math.fround(0.1)],
      ['f64', 0.1],
    ] as const) {
      assert.equal(metadata.number(key), value, key);
    }
    assert.equal(metadata.boolean('yes'), true);
    assert.equal(metadata.boolean('no', true), false);
    assert.equal(metadata.string('text'), 'h\u00e9\u{1f600}\ufffd');
    assert.equal(metadata.string('none'), '');
    assert.deepEqual(metadata.strings('strings'), ['', 'a', '\u2581b']);
    assert.deepEqual(metadata.numbers('ints'), Int32Array.of(-1, 2));
    assert.deepEqual(metadata.numbers('floats'), Float32Array.of(0.5, -2));
    assert.deepEqual(metadata.numbers('empty'), new Uint32Array(0));

    assert.equal(metadata.number('absent', 7), 7);
    assert.equal(metadata.string('absent', null), null);
    assert.throws(() => metadata.number('absent'), starlingError('model_invalid', path, 'absent', 'missing'));
    assert.throws(() => metadata.number('text', 1), starlingError('model_invalid', path, 'key text is a string'));
    assert.throws(() => metadata.strings('ints'), starlingError('model_invalid', 'ints'));
    assert.throws(() => metadata.boolean('u8'), starlingError('model_invalid', 'u8'));
  });

  it('reads tensor bytes exactly, at any offset, many at once, into shared memory too', async () => {
    const path = join(folder, 'bytes.gguf');
    const tensors = [patternTensor('one.weight', 'F32', [5]), patternTensor('two', 'Q4_0', [64, 70_000])];
    await writeGguf(path, { metadata: {}, tensors, alignment: 64 });
    const model = await openGguf(path);
    try {
      const two = model.tensors.get('two');
      assert.ok(two !== undefined);
      assert.equal(two.offset % 64, 0);
      assert.equal(two.byteLength, 70_000 * 36);
      // The second lies across the writer's buffers.
      const places = [
        [0, 100],
        [1_000_000, 1_520_000],
        [two.byteLength - 1, 1],
        [two.byteLength, 0],
      ] as const;
      await Promise.all(
        places.map(async ([offset, length]) => {
          const bytes = new Uint8Array(length + 1).fill(255);
          await model.read(two, offset, length, bytes);
          for (let i = 0; i < length; i++) {
            if (bytes[i] !== patternByte('two', offset + i)) assert.fail(`byte ${offset + i} differs`);
          }
          assert.equal(bytes[length], 255);
        }),
      );
      const shared = new Uint8Array(new SharedArrayBuffer(96), 8, 80);
      await model.read(two, 5, 80, shared);
      assert.ok(shared.every((byte, i) => byte === patternByte('two', 5 + i)));

      await assert.rejects(model.read(two, two.byteLength - 1, 2, new Uint8Array(2)), starlingError('internal', 'two'));
      await assert.rejects(model.read(two, 0, 2, new Uint8Array(1)), starlingError('internal', 'two'));
      await truncate(path, two.offset + 10);
      await assert.rejects(model.read(two, 0, 11, new Uint8Array(11)), starlingError('model_file_changed', path));
    } finally {
      await model.close();
    }
  });

  it('says what is wrong with a path', async () => {
    await assert.rejects(openGguf(join(folder, 'no.gguf')), starlingError('model_file_not_found', 'no.gguf'));
    const notFolder = join(folder, 'file');
    await writeFile(notFolder, 'x');
    await assert.rejects(openGguf(join(notFolder, 'x.gguf')), starlingError('model_file_not_found', 'x.gguf'));
    await assert.rejects(openGguf(folder), starlingError('model_file_unreadable', folder, 'is a folder, not a file'));
    await assert.rejects(openGguf(notFolder), starlingError('model_not_gguf', notFolder));
    await writeFile(notFolder, '');
    await assert.rejects(openGguf(notFolder), starlingError('model_not_gguf', notFolder));
  });
});

describe('split models', () => {
  let folder = '';
  let paths: string[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-split-'));
    paths = await writeGguf(join(folder, 'm.gguf'), {
      metadata: MINIMAL_METADATA,
      tensors: minimalTensors(),
      parts: 3,
    });
  });
  after(() => rm(folder, { recursive: true }));

  it('opens all parts from any of them', async () => {
    assert.deepEqual(
      paths.map((path) => basename(path)),
      ['m-00001-of-00003.gguf', 'm-00002-of-00003.gguf', 'm-00003-of-00003.gguf'],
    );
    for (const path of paths) {
      const model = await openGguf(path);
      try {
        assert.equal(model.path, path);
        assert.deepEqual(
          model.parts.map((part) => part.path),
          paths,
        );
        assert.equal(model.metadata.string('general.name'), 'minimal');
        assert.deepEqual(
          [...model.tensors.keys()],
          minimalTensors().map((tensor) => tensor.name),
        );
        for (const tensor of model.tensors.values()) {
          const bytes = new Uint8Array(tensor.byteLength);
          await model.read(tensor, 0, bytes.length, bytes);
          assert.ok(bytes.every((byte, i) => byte === patternByte(tensor.name, i)));
        }
        assert.equal(model.tensors.get('output_norm.weight')?.file, 2);
      } finally {
        await model.close();
      }
    }
  });

  it('names a missing part', async () => {
    const [first = '', second = ''] = paths;
    await rename(second, `${second}.away`);
    await assert.rejects(openGguf(first), starlingError('model_file_not_found', second, 'part 2 of 3'));
    await rename(`${second}.away`, second);
  });

  it('refuses parts that do not belong together', async () => {
    const [first = ''] = paths;
    const other = join(folder, 'other');
    await mkdir(other);
    const renamed = join(other, 'm.gguf');
    await rename(first, renamed);
    await assert.rejects(openGguf(renamed), starlingError('model_invalid', renamed, '-00001-of-00003.gguf'));
    const wrongPlace = join(other, 'm-00002-of-00003.gguf');
    await rename(renamed, wrongPlace);
    await assert.rejects(openGguf(wrongPlace), starlingError('model_invalid', wrongPlace, '-00001-of-00003.gguf'));
    await rename(wrongPlace, first);

    // Part 2 of another split into three: fewer tensors.
    const others = await writeGguf(join(other, 'm.gguf'), {
      metadata: MINIMAL_METADATA,
      tensors: minimalTensors().slice(1),
      parts: 3,
    });
    await rename(paths[1] ?? '', `${paths[1]}.away`);
    await rename(others[1] ?? '', paths[1] ?? '');
    await assert.rejects(openGguf(first), starlingError('model_invalid', paths[1] ?? '', 'belong'));
    await rename(`${paths[1]}.away`, paths[1] ?? '');
  });

  it('refuses tensors that are in two parts, or too few', async () => {
    const twice = join(folder, 'twice');
    await mkdir(twice);
    const tensors = [patternTensor('same', 'F32', [1]), patternTensor('same', 'F32', [1])];
    const [path = ''] = await writeGguf(join(twice, 'm.gguf'), { metadata: {}, tensors, parts: 2 });
    await assert.rejects(openGguf(path), starlingError('model_invalid', 'same', 'another part'));

    const few = join(folder, 'few-00001-of-00002.gguf');
    for (const part of [0, 1]) {
      await writeGguf(part === 0 ? few : join(folder, 'few-00002-of-00002.gguf'), {
        metadata: {
          'split.no': { type: 'uint16', value: part },
          'split.count': { type: 'uint16', value: 2 },
          'split.tensors.count': { type: 'int32', value: 3 },
        },
        tensors: [patternTensor(`t${part}`, 'F32', [1])],
      });
    }
    await assert.rejects(openGguf(few), starlingError('model_invalid', 'hold 2 tensors', 'says 3'));
  });
});

async function opened(path: string) {
  const model = await openGguf(path);
  return { metadata: model.metadata, tensors: model.tensors, close: () => model.close() };
}

function plain(value: MetadataValue | undefined): unknown {
  if (value === undefined) return undefined;
  if (value.kind === 'arrays') return value.value.map(plain);
  if (value.kind === 'numbers' || value.kind === 'bigints') return Array.from<number | bigint>(value.value);
  // The oracle drops a byte order mark, which is a token of some vocabularies.
  if (value.kind === 'strings') return value.value.map((text) => text.replace(/^\ufeff/, ''));
  return value.value;
}

function plainOracle(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOracle);
  return typeof value === 'bigint' ? Number(value) : value;
}

/** The oracle gives ggml's numbers; every name that matters here is checked against the bytes above as well. */
function typeName(id: number): string | undefined {
  const names: Record<number, string> = {
    0: 'F32',
    1: 'F16',
    2: 'Q4_0',
    3: 'Q4_1',
    6: 'Q5_0',
    7: 'Q5_1',
    8: 'Q8_0',
    10: 'Q2_K',
    11: 'Q3_K',
    12: 'Q4_K',
    13: 'Q5_K',
    14: 'Q6_K',
    20: 'IQ4_NL',
    23: 'IQ4_XS',
    30: 'BF16',
  };
  const name = names[id];
  if (name !== undefined) assert.equal(tensorTypeByName(name)?.id, id);
  return name;
}
