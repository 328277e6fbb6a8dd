import assert from 'node:assert/strict';
import { copyFile, open, rename, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { type Contents, readContents } from '../../../../coordinator/model/contents.ts';
import { modelFingerprint } from '../../../../coordinator/model/fingerprint.ts';
import { openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { KnownContents } from '../../../../coordinator/model/known-contents.ts';
import { writeGguf } from '../../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, minimalTensors, patternTensor, starlingError } from '../../../fixtures/gguf.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

/** After a file made by the test has settled. */
const LATER = (): number => Date.now() + 60_000;

describe('modelFingerprint', () => {
  it('is the same for a copy, and 32 hex digits', async (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'a.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors() });
    await copyFile(path, join(folder, 'b.gguf'));
    const fingerprint = await fingerprintOf(path);
    assert.match(fingerprint, /^[0-9a-f]{32}$/);
    assert.equal(await fingerprintOf(join(folder, 'b.gguf')), fingerprint);
  });

  it('M13: sees metadata, and every byte of every tensor', async (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'a.gguf');
    const tensors = [patternTensor('small', 'F32', [3]), patternTensor('large', 'F32', [4096, 4])];
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors });
    const seen = new Set([await fingerprintOf(path)]);

    const model = await openGguf(path);
    await model.close();
    const [small, large] = [...model.tensors.values()];
    assert.ok(small !== undefined && large !== undefined);
    const changed = [small.offset, small.offset + 11, large.offset, large.offset + 9_999, large.offset + 65_535];
    for (const position of changed) {
      await overwrite(path, position, Uint8Array.of(0xff));
      seen.add(await fingerprintOf(path));
    }
    assert.equal(seen.size, 1 + changed.length);

    const other = join(folder, 'b.gguf');
    await writeGguf(other, { metadata: { ...MINIMAL_METADATA, extra: { type: 'bool', value: true } }, tensors });
    assert.ok(!seen.has(await fingerprintOf(other)));
  });

  it('covers every part of a split model', async (context) => {
    const folder = temporaryFolder(context);
    const options = { metadata: MINIMAL_METADATA, tensors: minimalTensors(), parts: 2 };
    const [first = '', second = ''] = await writeGguf(join(folder, 'm.gguf'), options);
    const fingerprint = await fingerprintOf(first);
    assert.equal(await fingerprintOf(second), fingerprint);
    const model = await openGguf(second);
    await model.close();
    const last = [...model.tensors.values()].at(-1);
    assert.equal(last?.file, 1);
    await overwrite(second, last?.offset ?? 0, Uint8Array.of(0xff));
    assert.notEqual(await fingerprintOf(first), fingerprint);
  });
});

describe('KnownContents', () => {
  it('reads a file once, and again when it changed', async (context) => {
    const folder = temporaryFolder(context);
    const [first = '', second = ''] = await writeGguf(join(folder, 'm.gguf'), {
      metadata: MINIMAL_METADATA,
      tensors: minimalTensors(),
      parts: 2,
    });
    const record = join(folder, 'home', 'model-files.json');
    const read = await contentsOf(first, record);
    assert.ok(read.bytes > 0);
    const again = await contentsOf(second, record);
    assert.deepEqual(again, { ...read, bytes: 0 });

    const { mtime, size } = await stat(second);
    await overwrite(second, size - 1, Uint8Array.of(1));
    // Another program may set the time back; the system's own still tells.
    await utimes(second, mtime, mtime);
    assert.ok((await contentsOf(first, record)).bytes > 0);

    await writeFile(record, '{"version": 1, "files": [{"dev": 7}]}');
    assert.ok((await contentsOf(first, record)).bytes > 0);
    assert.equal((await contentsOf(first, record)).bytes, 0);
  });

  it('does not believe in a file that was written just now', async (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'm.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors() });
    const record = join(folder, 'model-files.json');
    for (let round = 0; round < 2; round++) assert.ok((await contentsOf(path, record, Date.now)).bytes > 0);
  });

  it('does without a place to remember', async (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'm.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors() });
    assert.ok((await contentsOf(path, join(path, 'model-files.json'))).bytes > 0);
  });
});

describe('a model file that changes', () => {
  const written = async (folder: string): Promise<string> => {
    const path = join(folder, 'm.gguf');
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: minimalTensors() });
    return path;
  };

  it('C9: is noticed at the next read, and for good', async (context) => {
    const path = await written(temporaryFolder(context));
    const model = await openGguf(path);
    const [tensor] = [...model.tensors.values()];
    const into = new Uint8Array(4);
    await model.read(tensor!, 0, 4, into);
    const { mtime } = await stat(path);
    await overwrite(path, tensor!.offset, Uint8Array.of(1, 2, 3, 4));
    await utimes(path, mtime, mtime);
    for (let round = 0; round < 2; round++) {
      await assert.rejects(
        model.read(tensor!, 0, 4, into),
        starlingError('model_file_changed', 'm.gguf', 'start again'),
      );
      assert.throws(() => model.assertUnchanged(tensor!), starlingError('model_file_changed'));
    }
    await model.close();
    const cut = await openGguf(path);
    await truncate(path, 1000);
    await assert.rejects(cut.read(tensor!, 0, 4, into), starlingError('model_file_changed'));
    await cut.close();
  });

  it('C9: may get another name, and another file in its place', async (context) => {
    const path = await written(temporaryFolder(context));
    const model = await openGguf(path);
    const [tensor] = [...model.tensors.values()];
    const into = new Uint8Array(4);
    await rename(path, join(dirname(path), 'old.gguf'));
    await model.read(tensor!, 0, 4, into);
    await written(dirname(path));
    await model.read(tensor!, 0, 4, into);
    await rename(path, join(dirname(path), 'old.gguf'));
    await model.read(tensor!, 0, 4, into);
    await model.close();
  });
});

async function overwrite(path: string, position: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}

async function fingerprintOf(path: string): Promise<string> {
  const model = await openGguf(path);
  try {
    return modelFingerprint((await readContents(model)).sha256);
  } finally {
    await model.close();
  }
}

/** What is known of a file, and how many bytes were read for it. */
async function contentsOf(path: string, record: string, now = LATER): Promise<Contents & { bytes: number }> {
  const model = await openGguf(path);
  let bytes = 0;
  try {
    const contents = await new KnownContents(record, now).of(model, {
      onProgress: ({ done }) => {
        bytes = done;
      },
    });
    return { ...contents, bytes };
  } finally {
    await model.close();
  }
}
