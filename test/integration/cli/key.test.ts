import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import { commandLine } from '../../fixtures/command-line.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

test('a key is made, shown and imported, readable by its owner only', async (t) => {
  const [one, two] = [temporaryFolder(t), temporaryFolder(t)];
  const fileOf = (home: string): string => homePaths({ STARLING_HOME: home }).keyFile;

  const none = await commandLine(['key', 'show'], { home: one });
  assert.equal(none.code, 3);
  assert.match(none.stderr, /\[no_key\]/);

  const made = await commandLine(['key', 'new'], { home: one });
  assert.deepEqual([made.code, made.stdout], [0, '']);
  const shown = await commandLine(['key', 'show'], { home: one });
  const key = ClusterKey.parse(shown.stdout.trim());
  assert.match(made.stderr, new RegExp(key.keyId));
  assert.ok(!made.stderr.includes(shown.stdout.trim()) && !shown.stderr.includes(shown.stdout.trim()));

  const imported = await commandLine(['key', 'import', '-'], { home: two, stdin: shown.stdout });
  assert.deepEqual([imported.code, imported.stdout], [0, '']);
  assert.equal((await commandLine(['key', 'show'], { home: two })).stdout, shown.stdout);
  if (process.platform !== 'win32') {
    for (const home of [one, two]) assert.equal(statSync(fileOf(home)).mode & 0o777, 0o600);
  }

  // A key is not overwritten without a word.
  const again = await commandLine(['key', 'new'], { home: one });
  assert.equal(again.code, 2);
  assert.match(again.stderr, /--force.*\[invalid_argument\]/);
  assert.equal((await commandLine(['key', 'show'], { home: one })).stdout, shown.stdout);
  const wrong = await commandLine(['key', 'import', `${shown.stdout.trim().slice(0, -1)}?`], { home: one });
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /\[key_invalid\]/);
});
