import assert from 'node:assert/strict';
import { copyFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { modelFingerprint } from '../../../../coordinator/model/fingerprint.ts';
import { openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { writeGguf } from '../../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, minimalTensors, patternTensor } from '../../../fixtures/gguf.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

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

  it('sees metadata, and the beginning, middle and end of every tensor', async (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'a.gguf');
    const tensors = [patternTensor('small', 'F32', [3]), patternTensor('large', 'F32', [4096, 4])];
    await writeGguf(path, { metadata: MINIMAL_METADATA, tensors });
    const seen = new Set([await fingerprintOf(path)]);

    const model = await openGguf(path);
    await model.close();
    const [small, large] = [...model.tensors.values()];
    assert.ok(small !== undefined && large !== undefined);
    const changed = [small.offset, small.offset + 11, large.offset, large.offset + 32_768, large.offset + 65_535];
    for (const position of changed) {
      const file = await open(path, 'r+');
      await file.write(Uint8Array.of(0xff), 0, 1, position);
      await file.close();
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
    const file = await open(second, 'r+');
    await file.write(Uint8Array.of(0xff), 0, 1, last?.offset ?? 0);
    await file.close();
    assert.notEqual(await fingerprintOf(first), fingerprint);
  });
});

async function fingerprintOf(path: string): Promise<string> {
  const model = await openGguf(path);
  try {
    return await modelFingerprint(model);
  } finally {
    await model.close();
  }
}
