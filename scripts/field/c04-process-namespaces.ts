import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClusterKey, importKey } from '../../daemon/cluster-key.ts';
import { homePaths } from '../../daemon/paths.ts';
import { StarlingProcess } from '../starling-process.ts';
import type { FieldCheck } from './field-check.ts';

const START_MS = 60_000;
/** As a container does: each process has the number 1, and is gone with what it started. */
const CONTAINER = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** A daemon in a container serves and is killed, twice: what is in use is told as it is, within and without. */
export const check: FieldCheck = {
  row: 'C4',
  title: 'a killed daemon in a process namespace of its own',
  needs: ['process namespaces'],
  async run() {
    const folder = mkdtempSync(join(tmpdir(), 'starling-field-c4-'));
    const processes: StarlingProcess[] = [];
    const [device, coordinator] = [join(folder, 'device'), join(folder, 'coordinator')];
    const start = (args: string[], home: string, prefix: string[] = []): StarlingProcess => {
      const process = new StarlingProcess([...args, '--no-discovery', '--threads', '1'], { home, prefix });
      processes.push(process);
      return process;
    };
    const store = (args: string[], prefix: string[]): string => {
      const main = fileURLToPath(new URL('../../coordinator/cli/main.js', import.meta.url));
      const [command = '', ...rest] = [...prefix, process.execPath, main, 'store', ...args];
      const { stdout, stderr } = spawnSync(command, rest, {
        env: { ...process.env, STARLING_HOME: device },
        encoding: 'utf8',
      });
      return stdout + stderr;
    };
    try {
      const key = ClusterKey.generate();
      for (const home of [device, coordinator]) await importKey(homePaths({ STARLING_HOME: home }).keyFile, key);
      for (let round = 1; round <= 2; round++) {
        const daemon = start(['daemon', '--host', '127.0.0.1', '--port', '0'], device, CONTAINER);
        const [, port] = await daemon.waitFor(/listens on 127\.0\.0\.1:(\d+)/, START_MS);
        const serve = start(['serve', 'tiny-chat', '--port', '0', '--peer', `127.0.0.1:${port}`], coordinator);
        await serve.waitFor(/is served at/, START_MS);
        for (const prefix of [[], CONTAINER]) {
          assert.match(store(['ls'], prefix), /in use/);
          assert.match(store(['rm', '--all'], prefix), /model_in_use/);
        }
        await daemon.kill();
        await serve.stop();
        // The next container's first process has the number that the killed one had.
        for (const prefix of [CONTAINER, []]) assert.match(store(['ls'], prefix), /used 20/);
      }
      assert.match(store(['rm', '--all'], CONTAINER), /^removed/);
      return 'in use while it lived, free after each kill';
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
