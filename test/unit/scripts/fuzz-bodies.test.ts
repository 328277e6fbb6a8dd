import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('the HTTP interface stands thousands of hostile bodies of all dialects', () => {
  const script = fileURLToPath(new URL('../../../scripts/fuzz-bodies.js', import.meta.url));
  const args = [script, '--count', '6000', '--seed', '1'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^6000 cases from seed 1 /);
  // What is refused at once says little about what is behind.
  assert.ok(Number(/"200":(\d+)/.exec(stdout)?.[1]) > 2000, stdout);
});
