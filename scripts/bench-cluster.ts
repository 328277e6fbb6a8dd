import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { startCluster } from '../coordinator/cli/start-cluster.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { loadIdentity } from '../daemon/identity.ts';
import { createLogger } from '../daemon/log.ts';
import { homePaths } from '../daemon/paths.ts';
import { defaultMemory, processMemory } from '../daemon/process-memory.ts';
import type { BackendName } from '../kernels/kernels.ts';

export interface BenchCluster {
  readonly model: string;
  readonly context: number;
  /** This process and as many daemons as are missing. */
  readonly devices: number;
  /** Of each device. */
  readonly threads: number;
  readonly backend: BackendName;
  /** Bytes that each device may have resident; an equal part of what is free by default. */
  readonly memory?: number;
  /** Kept from run to run, so that tiles are cut once. */
  readonly storeDir: string;
}

/** Runs `use` with a throw-away cluster of this machine, as "starling run --local-devices" makes one. */
export async function withCluster<T>(task: BenchCluster, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const { backend, threads, storeDir } = task;
  const memory = task.memory ?? Math.floor(defaultMemory() / task.devices);
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  const aborted = new AbortController();
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
