import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../daemon/paths.ts';

const skip = spawnSync('cc', ['--version']).status === 0 ? false : 'there is no C compiler';

test('the kernels of every instruction set that runs here give the same digests', { skip }, () => {
  const script = join(packageRoot(), 'scripts/check-targets.mjs');
  const { status, stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /\d+ digests equal/);
});
