import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withoutC } from './needs-c.ts';

test('the frame reader of native links stands a second of fuzzing under AddressSanitizer', (t) => {
  if (withoutC) return t.skip(withoutC);
  const script = fileURLToPath(new URL('../../../scripts/fuzz-frames.js', import.meta.url));
  const args = [script, '--seconds', '1', '--seed', '1'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (/cannot find.*asan|unrecognized.*sanitize/i.test(stderr)) return t.skip('the compiler has no AddressSanitizer');
  assert.equal(status, 0, stderr);
  assert.ok(Number(/^(\d+) cases/.exec(stdout)?.[1]) > 10, stdout);
});
