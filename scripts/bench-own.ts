// Measures one decode by a throw-away cluster of this machine, as "starling run --local-devices" makes one.
// Started by the benches (bench-child.ts).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { startCluster } from '../coordinator/cli/start-cluster.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { LanguageModel } from '../coordinator/language-model.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { loadIdentity } from '../daemon/identity.ts';
import { createLogger } from '../daemon/log.ts';
import { homePaths } from '../daemon/paths.ts';
import { defaultMemory, processMemory } from '../daemon/process-memory.ts';
import type { BackendName } from '../kernels/kernels.ts';
import type { DecodeTask, DecodeTimes } from './bench-child.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface OwnTask extends DecodeTask {
  readonly devices: number;
  readonly backend: BackendName;
  /** Kept from run to run, so that tiles are cut once. */
  readonly storeDir: string;
}

async function withCluster<T>(task: OwnTask, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const { backend, threads, storeDir } = task;
  const memory = Math.floor(defaultMemory() / task.devices);
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  const aborted = new AbortController();
  // The bench is gone: the daemons end with this process.
  process.once('disconnect', () => process.exit(1));
  const key = ClusterKey.generate();
  let devices: LocalDevices | undefined;
  try {
    const model = await openModel(task.model);
    try {
      devices = await LocalDevices.start({ count: task.devices - 1, key, storeDir, backend, threads, memory });
      const cluster = await startCluster({
        model,
        identity: await loadIdentity(homePaths({ STARLING_HOME: home }).identityFile),
        key,
        peers: devices.endpoints,
        waitMs: 0,
        runFile: null,
        ownShare: true,
        storeDir,
        backend,
        threads,
        kv: 'f16',
        memory: processMemory(memory),
        contextLength: task.context,
        log: createLogger('warn', 'bench'),
        onProgress: () => {},
        signal: aborted.signal,
      });
      try {
        return await use(cluster);
      } finally {
        await cluster.stop();
      }
    } finally {
      await model.gguf.close();
    }
  } finally {
    await devices?.stop();
    await rm(home, { recursive: true, force: true });
  }
}

async function measure(model: LanguageModel, { prompt, next }: DecodeTask): Promise<DecodeTimes> {
  // Weights and buffers are touched once before the clock runs.
  const first = new LoneSequence(model);
  await first.append(prompt);
  await first.append(prompt.slice(0, 1));

  const sequence = new LoneSequence(model);
  const timed = async (tokens: readonly number[]): Promise<number> => {
    const start = performance.now();
    likeliest(await sequence.append(tokens));
    return performance.now() - start;
  };
  const prefill_ms = await timed(prompt);
  const token_ms: number[] = [];
  for (const token of next) token_ms.push(await timed([token]));
  return { prefill_ms, token_ms };
}

/** Choosing a token is part of making one. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

const task: OwnTask = JSON.parse(process.argv[2] ?? '');
const times = await withCluster(task, ({ forward }) => measure(forward, task));
process.send?.(times, () => process.exit(0));
