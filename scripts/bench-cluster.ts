import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { startCluster } from '../coordinator/cli/start-cluster.ts';
import type { DevicesWish } from '../coordinator/cluster/choose-devices.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import type { Overlap } from '../coordinator/cluster/overlap.ts';
import type { HeadWish } from '../coordinator/cluster/planner/roles.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { loadIdentity } from '../daemon/identity.ts';
import { createLogger } from '../daemon/log.ts';
import { homePaths } from '../daemon/paths.ts';
import { defaultMemory, processMemory } from '../daemon/process-memory.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { headerContents } from './bench-model.ts';

/** A part of every cluster of the benches. */
interface BenchCoordinator {
  readonly model: string;
  readonly context: number;
  /** Of each device. */
  readonly threads: number;
  readonly backend: BackendName;
  /** Kept from run to run, so that tiles are cut once. */
  readonly storeDir: string;
}

export interface BenchCluster extends BenchCoordinator {
  /** This process and as many daemons as are missing. */
  readonly devices: number;
  /** Bytes that each device may have resident; an equal part of what is free by default. */
  readonly memory?: number;
}

export interface BenchPeers extends BenchCoordinator {
  readonly key: string;
  /** Daemons that are there already. */
  readonly peers: readonly Endpoint[];
  /** Whether this process computes a share of the layers too; it always computes the head. */
  readonly ownShare: boolean;
  /** Bytes that this process may have resident. */
  readonly memory: number;
  /** Where the head is computed, instead of where it pays. */
  readonly head?: HeadWish;
  /** Which steps are halved, instead of those that measure faster so. */
  readonly overlap?: Overlap;
  /** All of them by default. */
  readonly devices?: DevicesWish;
  /** Whether they are measured, and not taken to be equal. */
  readonly measures?: boolean;
}

/** Runs `use` with a throw-away cluster of this machine, as "starling run --local-devices" makes one. */
export async function withCluster<T>(task: BenchCluster, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const { backend, threads, storeDir } = task;
  const memory = task.memory ?? Math.floor(defaultMemory() / task.devices);
  const key = ClusterKey.generate();
  const devices = await LocalDevices.start({ count: task.devices - 1, key, storeDir, backend, threads, memory });
  try {
    return await withPeers(
      { ...task, devices: 'all', key: key.toText(), peers: devices.endpoints, ownShare: true, memory },
      use,
    );
  } finally {
    await devices.stop();
  }
}

/** Runs `use` with a cluster of this process and of daemons that others have started. */
export async function withPeers<T>(task: BenchPeers, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const { peers, ownShare, storeDir, backend, threads } = task;
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  try {
    const model = await openModel(task.model, headerContents);
    try {
      const cluster = await startCluster({
        model,
        identity: await loadIdentity(homePaths({ STARLING_HOME: home }).identityFile),
        key: ClusterKey.parse(task.key),
        peers,
        waitMs: 0,
        devices: task.devices ?? 'all',
        profiles: task.measures === true ? { file: join(home, 'profile.json'), version: 'bench' } : null,
        ownShare,
        storeDir,
        backend,
        threads,
        kv: 'f16',
        ...(task.head === undefined ? {} : { head: task.head }),
        ...(task.overlap === undefined ? {} : { overlap: task.overlap }),
        memory: processMemory(task.memory),
        contextLength: task.context,
        log: createLogger('warn', 'bench'),
        onProgress: () => {},
        signal: new AbortController().signal,
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
    await rm(home, { recursive: true, force: true });
  }
}
