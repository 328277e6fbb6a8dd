/**
 * Fuzzes the frame reader of native data links under AddressSanitizer: what fuzz-frames.c says.
 *   node dist/scripts/fuzz-frames.js [--seconds 600] [--seed N]
 * Needs a C compiler with AddressSanitizer. Exit code 1 on the first finding.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { compileC } from './compile-c.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '600' }, seed: { type: 'string', default: String(Date.now()) } },
});

const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g', '-O1'];
const program = await compileC('fuzz-frames', SANITIZE);
try {
  const { status } = spawnSync(program.path, [values.seconds, values.seed], { stdio: 'inherit' });
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  await program.remove();
}
