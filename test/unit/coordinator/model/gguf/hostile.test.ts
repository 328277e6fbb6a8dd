import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openGguf } from '../../../../../coordinator/model/gguf/reader.ts';
import { readModelSpec } from '../../../../../coordinator/model/model-spec.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { writeGguf } from '../../../../../scripts/gguf-writer.ts';
import { mix } from '../../../../../scripts/random-words.ts';
import { MINIMAL_METADATA, minimalTensors, raw, rawFile, starlingError } from '../../../../fixtures/gguf.ts';

const { u8, u32, u64, text, start, tensor } = raw;
const STRING = u32(8);
const ARRAY = u32(9);
const padding = Buffer.alloc(256);

describe('hostile GGUF files', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-hostile-'));
  });
  after(() => rm(folder, { recursive: true }));

  const refuses = (name: string, code: string, patterns: readonly (string | RegExp)[], ...pieces: Buffer[]) =>
    it(`refuses ${name}`, async () => {
      const path = await rawFile(folder, ...pieces);
      await assert.rejects(openGguf(path), starlingError(code, path, ...patterns));
    });

  refuses('another magic number', 'model_not_gguf', ['GGUF'], Buffer.from('GGML'), padding);
  refuses('version 1', 'model_unsupported_version', ['version 1'], start(0, 0, 1));
  refuses('version 4', 'model_unsupported_version', ['version 4'], start(0, 0, 4));
  refuses('big endian', 'model_unsupported_version', ['big endian'], start(0, 0, 0x03000000));
  refuses('2^64 keys', 'model_invalid', ['keys'], start(0, 2n ** 64n - 1n), padding);
  refuses('2^64 tensors', 'model_invalid', ['tensors'], start(2n ** 64n - 1n, 0), padding);
  refuses('100 000 keys in nothing', 'model_truncated', ['key 0 of 100000'], start(0, 100_000));
  refuses('100 000 tensors in nothing', 'model_truncated', ['tensor 0 of 100000'], start(100_000, 0));
  refuses('a string of 2^63 bytes', 'model_truncated', ['key k'], start(0, 1), text('k'), STRING, u64(2n ** 63n));
  refuses('a string longer than the file', 'model_truncated', ['key k'], start(0, 1), text('k'), STRING, u64(9e6));
  refuses('a key of 70 000 bytes', 'model_invalid', ['key 0'], start(0, 1), text('k'.repeat(70_000)));
  refuses('an unknown value type', 'model_invalid', ['key k', 'type 13'], start(0, 1), text('k'), u32(13), padding);
  refuses(
    'an array of an unknown type',
    'model_invalid',
    ['key k', 'type 99'],
    start(0, 1),
    text('k'),
    ARRAY,
    u32(99),
    u64(1),
    padding,
  );
  refuses(
    'an array longer than the file',
    'model_truncated',
    ['key k'],
    start(0, 1),
    text('k'),
    ARRAY,
    u32(12),
    u64(4_000_000),
    padding,
  );
  refuses(
    'a string array longer than the file',
    'model_truncated',
    ['key k'],
    start(0, 1),
    text('k'),
    ARRAY,
    STRING,
    u64(33),
    padding,
  );
  refuses(
    'arrays nested five deep',
    'model_invalid',
    ['key k', '5 deep'],
    start(0, 1),
    text('k'),
    ARRAY,
    ...Array.from({ length: 5 }, () => [ARRAY, u64(1)]).flat(),
    u32(0),
    u64(0),
    padding,
  );
  refuses(
    'more arrays than the limit',
    'model_invalid',
    ['key k', 'too many arrays'],
    start(0, 1),
    text('k'),
    ARRAY,
    ARRAY,
    u64(100_001),
    Buffer.alloc(12 * 100_001),
  );
  refuses(
    'a key that appears twice',
    'model_invalid',
    ['key k', 'twice'],
    start(0, 2),
    text('k'),
    u32(0),
    u8(1),
    text('k'),
    u32(0),
    u8(1),
  );
  for (const alignment of [0, 3, 48, 2 ** 21]) {
    refuses(
      `an alignment of ${alignment}`,
      'model_invalid',
      ['general.alignment', String(alignment)],
      start(0, 1),
      text('general.alignment'),
      u32(4),
      u32(alignment),
    );
  }
  refuses(
    'an alignment that is text',
    'model_invalid',
    ['string'],
    start(0, 1),
    text('general.alignment'),
    STRING,
    text('32'),
  );

  refuses('no dimensions', 'model_invalid', ['t', '0 dimensions'], start(1, 0), tensor('t', [], 0, 0), padding);
  refuses(
    'five dimensions',
    'model_invalid',
    ['5 dimensions'],
    start(1, 0),
    tensor('t', [1, 1, 1, 1, 1], 0, 0),
    padding,
  );
  refuses('2^32 dimensions', 'model_invalid', ['dimensions'], start(1, 0), text('t'), u32(2 ** 32 - 1), padding);
  refuses('a dimension of 0', 'model_invalid', ['dimension 1'], start(1, 0), tensor('t', [1, 0], 0, 0), padding);
  refuses('a product beyond 2^53', 'model_invalid', ['t'], start(1, 0), tensor('t', [2 ** 27, 2 ** 27], 0, 0), padding);
  refuses('a product beyond 2^64', 'model_invalid', ['t'], start(1, 0), tensor('t', [2n ** 63n, 2], 0, 0), padding);
  refuses('bytes beyond 2^53', 'model_invalid', ['t'], start(1, 0), tensor('t', [2n ** 52n], 28, 0), padding);
  refuses('an offset beyond 2^53', 'model_invalid', ['t'], start(1, 0), tensor('t', [1], 0, 2n ** 60n), padding);
  refuses(
    'an unknown tensor type',
    'model_unsupported_tensor_type',
    ['t', '77'],
    start(1, 0),
    tensor('t', [1], 77, 0),
    padding,
  );
  refuses(
    'a removed tensor type',
    'model_unsupported_tensor_type',
    ['t', 'Q4_2'],
    start(1, 0),
    tensor('t', [32], 4, 0),
    padding,
  );
  refuses('a row of half a block', 'model_invalid', ['t', 'Q4_0'], start(1, 0), tensor('t', [48], 2, 0), padding);
  refuses('an unaligned tensor', 'model_invalid', ['t', 'offset 4'], start(1, 0), tensor('t', [1], 0, 4), padding);
  refuses('a tensor beyond the end', 'model_truncated', ['t', 'byte'], start(1, 0), tensor('t', [1], 0, 1024), padding);
  refuses('a tensor that ends too late', 'model_truncated', ['t'], start(1, 0), tensor('t', [1000], 0, 0), padding);
  refuses(
    'overlapping tensors',
    'model_invalid',
    ['b', 'a', 'overlap'],
    start(2, 0),
    tensor('a', [8], 0, 32),
    tensor('b', [9], 0, 0),
    padding,
  );
  refuses(
    'a tensor that appears twice',
    'model_invalid',
    ['twice'],
    start(2, 0),
    tensor('a', [1], 0, 0),
    tensor('a', [1], 0, 32),
    padding,
  );
  refuses(
    'a split that is none',
    'model_invalid',
    ['part 5 of 99999'],
    start(0, 2),
    text('split.count'),
    u32(4),
    u32(99_999),
    text('split.no'),
    u32(4),
    u32(5),
  );

  it('shows no control characters of a file to the terminal', async () => {
    const path = await rawFile(folder, start(1, 0), tensor('\u001b[2Jt', [0], 0, 0), padding);
    await assert.rejects(openGguf(path), starlingError('model_invalid', '?[2Jt'));
  });

  it('M17: passes over what nobody reads and what nobody could', async () => {
    const strange: readonly (readonly [name: string, why: RegExp, ...pieces: Buffer[]])[] = [
      ['long', /has 12000000 bytes of text/, STRING, text(Buffer.alloc(12e6, 0x61))],
      ['torn', /is not UTF-8/, STRING, text(Buffer.from([0x61, 0xc3, 0x28]))],
      ['maybe', /neither 0 nor 1/, u32(7), u8(2)],
      ['perhaps', /neither 0 nor 1/, ARRAY, u32(7), u64(2), u8(1), u8(255)],
      ['many', /has 4000001 entries/, ARRAY, u32(0), u64(4_000_001), Buffer.alloc(4_000_001)],
      ['words', /not UTF-8 text in entry 1/, ARRAY, STRING, u64(3), text('a'), text(Buffer.from([0x80])), text('c')],
      ['texts', /bytes of text in entry 0/, ARRAY, STRING, u64(2), text(Buffer.alloc(11e6)), text('b')],
    ];
    const path = await rawFile(
      folder,
      start(0, strange.length + 3),
      ...strange.flatMap(([name, , ...pieces]) => [text(name), ...pieces]),
      ...[text(Buffer.from([0xff])), u32(0), u8(0), text(Buffer.from([0xfe])), u32(0), u8(1)],
      ...[text('last'), u32(0), u8(7)],
    );
    const { metadata, close } = await openGguf(path).then((model) => ({
      metadata: model.metadata,
      close: () => model.close(),
    }));
    await close();
    assert.equal(metadata.number('last'), 7);
    assert.equal(metadata.size, strange.length + 3);
    for (const [name, why] of strange) {
      assert.throws(
        () => metadata.string(name),
        (error: unknown) => error instanceof StarlingError && error.code === 'model_invalid' && why.test(error.message),
        name,
      );
    }
  });

  it('reads integers beyond 2^53 as what they are', async () => {
    const path = await rawFile(
      folder,
      start(0, 2),
      text('one'),
      u32(10),
      u64(2n ** 64n - 1n),
      text('many'),
      ARRAY,
      u32(11),
      u64(2),
      u64(2n ** 63n),
      u64(1),
    );
    const model = await openGguf(path);
    await model.close();
    assert.deepEqual(model.metadata.get('one'), { kind: 'bigint', value: 2n ** 64n - 1n });
    assert.deepEqual(model.metadata.get('many'), { kind: 'bigints', value: BigInt64Array.of(-(2n ** 63n), 1n) });
    assert.throws(() => model.metadata.number('one'), starlingError('model_invalid', 'one'));
    assert.throws(() => model.metadata.numbers('many'), starlingError('model_invalid', 'many'));
  });

  it('refuses a valid file that was cut, at every byte', async () => {
    const path = join(folder, 'whole.gguf');
    await writeGguf(path, { metadata: EVERY_KIND, tensors: minimalTensors().slice(0, 2) });
    const whole = await readFile(path);
    const cut = join(folder, 'cut.gguf');
    for (let length = 0; length < whole.length; length++) {
      await writeFile(cut, whole.subarray(0, length));
      const expected = length < 4 ? 'model_not_gguf' : 'model_truncated';
      await assert.rejects(openGguf(cut), starlingError(expected, cut), `cut at ${length}`);
    }
  });

  it('survives random damage: an error of its own, or a valid model', async () => {
    const path = join(folder, 'sound.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors('Q8_0') });
    const sound = await readFile(path);
    const model = await openGguf(path);
    const headerBytes = model.parts[0]?.headerBytes ?? 0;
    await model.close();
    const damaged = join(folder, 'damaged.gguf');
    const seen = new Set<string>();
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(sound);
      const flips = 1 + ((mix(round) >>> 0) % 3);
      for (let flip = 0; flip < flips; flip++) {
        const at = (mix(round * 16 + 2 * flip + 1000) >>> 0) % headerBytes;
        bytes[at] = (bytes[at] ?? 0) ^ (1 + ((mix(round * 16 + 2 * flip + 1001) >>> 0) % 255));
      }
      await writeFile(damaged, bytes);
      seen.add(await outcome(damaged));
    }
    // The damage reached every stage.
    for (const code of [
      'valid',
      'model_invalid',
      'model_truncated',
      'model_not_gguf',
      'model_unsupported_tensor_type',
    ]) {
      assert.ok(seen.has(code), `${code} not seen among ${[...seen].join(', ')}`);
    }
  });
});

async function outcome(path: string): Promise<string> {
  try {
    const model = await openGguf(path);
    try {
      await readModelSpec(model);
    } finally {
      await model.close();
    }
    return 'valid';
  } catch (error) {
    if (!(error instanceof StarlingError) || error.code === 'internal') throw error;
    return error.code;
  }
}

const EVERY_KIND = {
  ...MINIMAL_METADATA,
  small: { type: 'int16', value: -1 },
  flag: { type: 'bool', value: true },
  large: { type: 'uint64', value: 2 ** 40 },
  precise: { type: 'float64', value: 0.1 },
  scores: { type: 'array', of: 'float32', value: [1, 2, 3] },
} as const;
