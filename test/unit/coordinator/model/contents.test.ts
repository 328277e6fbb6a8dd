import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readContents } from '../../../../coordinator/model/contents.ts';
import { openGguf } from '../../../../coordinator/model/gguf/reader.ts';
import { judgeZeros } from '../../../../coordinator/model/unwritten-weights.ts';
import { PAGE_BYTES, ZeroRuns } from '../../../../coordinator/model/zero-runs.ts';
import { writeGguf } from '../../../../scripts/gguf-writer.ts';
import { MINIMAL_METADATA, patternTensor, starlingError } from '../../../fixtures/gguf.ts';
import { Random } from '../../../fixtures/random.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

test('runs of zeros are found to the byte, wherever pieces are cut', () => {
  const random = new Random(5);
  const next = (): number => random.unit();
  for (let round = 0; round < 300; round++) {
    const file = Buffer.alloc(1 + Math.floor(next() * 40 * PAGE_BYTES), 1);
    for (let hole = 0; hole < 3; hole++) {
      const start = Math.floor(next() * file.length);
      file.fill(0, start, Math.min(file.length, start + Math.floor(next() * 6 * PAGE_BYTES)));
    }
    const runs = new ZeroRuns();
    const piece = PAGE_BYTES * (1 + Math.floor(next() * 8));
    for (let at = 0; at < file.length; at += piece) runs.push(file.subarray(at, at + piece));
    assert.deepEqual(runs.finish(), expectedRuns(file));
  }
});

/** By looking at every byte. */
function expectedRuns(file: Buffer): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  for (let start = 0; start < file.length; ) {
    let end = start;
    while (end < file.length && file[end] === 0) end++;
    const firstPage = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES;
    if (firstPage + PAGE_BYTES <= end) runs.push({ start, end });
    start = end + 1;
  }
  return runs;
}

test('M6: zeros that tear a row are a hole; whole rows, vectors and unused tokens are not', () => {
  const matrix = (name: string, offset: number) => ({
    ...{ name, type: 'F16', dims: [2048, 64], file: 0, offset, byteLength: 2 * 2048 * 64 },
  });
  const [up, down] = [matrix('blk.0.ffn_up.weight', 96), matrix('blk.0.ffn_down.weight', 96 + 2 ** 18)];
  const embedding = matrix('token_embd.weight', 96);
  const bias = { name: 'blk.0.attn_q.bias', type: 'F32', dims: [8192], file: 0, offset: 96, byteLength: 32_768 };
  const row = 4096;
  const judged = (start: number, end: number, ...tensors: (typeof up | typeof bias)[]): string => {
    const { torn, rows } = judgeZeros([{ start, end }], tensors);
    return `${torn.length} torn, ${rows.length} rows`;
  };
  assert.equal(judged(8192, 65_536, up, down), '1 torn, 0 rows');
  assert.equal(judged(96 + row, 96 + 9 * row, up, down), '0 torn, 1 rows');
  assert.equal(judged(96 + row - 20, 96 + 9 * row + 6, up, down), '0 torn, 1 rows');
  assert.equal(judged(96 + row, 96 + 9.5 * row, up, down), '1 torn, 0 rows');
  assert.equal(judged(96 + 60.5 * row, 2 ** 20, up, down), '1 torn, 1 rows');
  assert.equal(judged(96 + 40 * row, 96 + 64 * row, embedding), '0 torn, 0 rows');
  assert.equal(judged(96 + 10 * row, 96 + 20 * row, embedding), '0 torn, 1 rows', 'not at its end');
  assert.equal(judged(96 + 20 * row, 96 + 64 * row, embedding), '0 torn, 1 rows', 'most of it');
  assert.equal(judged(96 + 40.5 * row, 96 + 64 * row, embedding), '1 torn, 0 rows');
  assert.equal(judged(96, 96 + 32_768, bias), '0 torn, 0 rows');
  assert.equal(judged(8192, 96 + 32_768, bias), '1 torn, 0 rows');
  assert.equal(judged(0, 90, up, down), '0 torn, 0 rows');
});

test('M6: a file that is long enough but not written whole is refused, with the place', async (t) => {
  const path = join(temporaryFolder(t), 'm.gguf');
  const tensors = ['a', 'b', 'c'].map((name) => patternTensor(name, 'Q8_0', [1024, 64]));
  await writeGguf(path, { metadata: MINIMAL_METADATA, tensors });
  const model = await openGguf(path);
  const { size } = model.parts[0]!;
  assert.equal((await readContents(model)).warning, null);
  await model.close();
  const c = model.tensors.get('c')!;
  const zero = async (from: number, to: number): Promise<void> => {
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(to - from), 0, to - from, from);
    await file.close();
  };
  const refused = async (...said: string[]): Promise<void> => {
    const damaged = await openGguf(path);
    await assert.rejects(readContents(damaged), starlingError('model_invalid', 'not written whole', ...said));
    await damaged.close();
  };
  await zero(c.offset + 8192, c.offset + 16_384);
  await refused('tensor c', `from byte ${c.offset + 8192} on there are 8192 zeros`);
  await zero(Math.floor(size / 2), size);
  await refused('tensor b');
});

test('reading a file through ends when it is told to', async (t) => {
  const path = join(temporaryFolder(t), 'm.gguf');
  await writeGguf(path, { metadata: MINIMAL_METADATA, tensors: [patternTensor('a', 'Q8_0', [1024, 64])] });
  const model = await openGguf(path);
  await assert.rejects(readContents(model, { signal: AbortSignal.abort() }), starlingError('cancelled'));
  await model.close();
});
