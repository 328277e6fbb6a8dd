// Runs the compiled tests: every suite, or those whose path contains one of the arguments. Node 20 expands no globs.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../dist/test', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(dist, { recursive: true })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
  .map((file) => join(dist, file));
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(', ') || dist}`);
  process.exit(1);
}
// What measures time: alone.
const TIMED = [
  'unit/scripts/slow-network',
  'unit/scripts/star-reference',
  ...['connections', 'many-users', 'openai-client', 'raw-http', 'slow-clients'].map(
    (name) => `integration/http/${name}`,
  ),
  'integration/cluster/cutting-memory',
  'integration/cluster/memory-budget',
];
// What waits for what must happen within some time, or times what it does not judge: two at a time.
const WAITING = [
  'unit/scripts/bench',
  'integration/daemon',
  'integration/cluster/own-daemon',
  'integration/cluster/resilience',
];
// All else runs side by side, one more than there are cores: now and then a file waits for a network or a process.
const isIn = (parts) => (file) => parts.some((part) => file.startsWith(join(dist, part)));
const groups = [
  {
    files: files.filter((file) => !isIn([...TIMED, ...WAITING])(file)),
    concurrency: availableParallelism() + 1,
  },
  { files: files.filter(isIn(WAITING)), concurrency: 2 },
  { files: files.filter(isIn(TIMED)), concurrency: 1 },
].filter((group) => group.files.length > 0);

// The spec reporter tells what failed once more at the end, where it is found in a long log.
const options = ['--enable-source-maps', '--test', '--test-reporter=spec', '--test-timeout=240000'];
const failed = groups.filter(({ files, concurrency }) => {
  const args = [...options, `--test-concurrency=${concurrency}`, ...files];
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status !== 0;
});
process.exit(failed.length === 0 ? 0 : 1);
