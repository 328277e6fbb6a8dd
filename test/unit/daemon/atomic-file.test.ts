import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeFileAtomic } from '../../../daemon/atomic-file.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('writes, refuses to replace, replaces, and leaves no temporary', async (t) => {
  const folder = join(temporaryFolder(t), 'a', 'b');
  const file = join(folder, 'f');
  assert.equal(await writeFileAtomic(file, 'one', { mode: 0o600, overwrite: false }), true);
  assert.equal(await writeFileAtomic(file, 'two', { mode: 0o600, overwrite: false }), false);
  assert.equal(readFileSync(file, 'utf8'), 'one');
  assert.equal(await writeFileAtomic(file, 'three', { mode: 0o600, overwrite: true }), true);
  assert.equal(readFileSync(file, 'utf8'), 'three');
  assert.deepEqual(readdirSync(folder), ['f']);
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('of many writers at once exactly one is first', async (t) => {
  const file = join(temporaryFolder(t), 'f');
  const options = { mode: 0o600, overwrite: false };
  const first = await Promise.all([...'abcdefgh'].map((text) => writeFileAtomic(file, text, options)));
  assert.equal(first.filter(Boolean).length, 1);
  assert.equal(readFileSync(file, 'utf8'), [...'abcdefgh'][first.indexOf(true)]);
});
