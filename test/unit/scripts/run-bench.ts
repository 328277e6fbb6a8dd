import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs a bench of scripts/ whose temporary files all go to `folder`. */
export function bench(name: string, folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const program = fileURLToPath(new URL(`../../../scripts/bench-${name}.js`, import.meta.url));
  return spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: folder, TEMP: folder, ...env },
    timeout: 60_000,
  });
}
