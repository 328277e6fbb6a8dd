import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterKey, importKey } from '../../daemon/cluster-key.ts';
import { homePaths } from '../../daemon/paths.ts';
import { StarlingProcess } from '../starling-process.ts';
import { writeSyntheticModel } from '../synthetic-model.ts';
import type { FieldCheck } from './field-check.ts';

const LIMIT_MIB = 350;
const START_MS = 90_000;

/** 258 MiB. */
const SHAPE = {
  layers: 10,
  dim: 1536,
  heads: 24,
  kvHeads: 8,
  headDim: 64,
  ffDim: 4096,
  vocabSize: 2048,
  contextLength: 4096,
  rmsEps: 1e-5,
  ropeBase: 10_000,
  ropeFactor: null,
  tied: true,
};

/** Two devices, each with 350 MiB that its page cache fills, share a model three times. */
export const check: FieldCheck = {
  row: 'C5',
  title: 'devices whose memory is full of page cache',
  needs: ['control groups'],
  async run() {
    const folder = mkdtempSync(join(tmpdir(), 'starling-field-c5-'));
    const groups: string[] = [];
    const processes: StarlingProcess[] = [];
    try {
      const model = join(folder, 'model.gguf');
      await writeSyntheticModel({ shape: SHAPE, quant: 'Q8_0', out: model });
      const key = ClusterKey.generate();
      const start = async (name: string, args: string[], prefix: string[] = []): Promise<StarlingProcess> => {
        const home = join(folder, name);
        await importKey(homePaths({ STARLING_HOME: home }).keyFile, key);
        const process = new StarlingProcess([...args, '--no-discovery', '--threads', '1'], { home, prefix });
        processes.push(process);
        return process;
      };
      const peers: string[] = [];
      for (const name of ['one', 'two']) {
        const group = memoryGroup(`starling-c5-${process.pid}-${name}`, LIMIT_MIB * 2 ** 20);
        groups.push(group);
        // The copy fills the group with cache.
        const into = `echo $$ > "${group}/cgroup.procs"; cat "${model}" > "${join(folder, `${name}.copy`)}"; exec "$@"`;
        const daemon = await start(name, ['daemon', '--host', '127.0.0.1', '--port', '0'], ['sh', '-c', into, 'sh']);
        const [, port] = await daemon.waitFor(/listens on 127\.0\.0\.1:(\d+)/, START_MS);
        peers.push('--peer', `127.0.0.1:${port}`);
      }
      for (let round = 1; round <= 3; round++) {
        const serve = await start('serve', ['serve', model, '--port', '0', ...peers]);
        const [, url, devices] = await serve.waitFor(/is served at (\S+) by (\d) devices/, START_MS);
        assert.equal(devices, '3');
        const request = { method: 'POST', headers: { 'content-type': 'application/json' } };
        const body = JSON.stringify({ prompt: 'a', max_tokens: 2 });
        const response = await fetch(`${url}/completions`, { ...request, body });
        assert.equal(response.status, 200, await response.text());
        await serve.stop();
      }
      return 'served three times';
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
      // A group is empty a moment after its processes are gone.
      await sleep(200);
      for (const group of groups) rmdirSync(group);
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Makes a control group below that of this process. @returns its folder */
function memoryGroup(name: string, bytes: number): string {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  const own = (controllers: string): string | undefined =>
    lines.map((line) => line.split(':')).find((parts) => parts[1] === controllers)?.[2];
  const v1 = own('memory');
  const parent = v1 === undefined ? join('/sys/fs/cgroup', own('') ?? '/') : join('/sys/fs/cgroup/memory', v1);
  const group = join(parent, name);
  mkdirSync(group);
  writeFileSync(join(group, v1 === undefined ? 'memory.max' : 'memory.limit_in_bytes'), String(bytes));
  return group;
}
