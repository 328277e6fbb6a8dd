import type { ClusterKey } from '../../daemon/cluster-key.ts';
import { Discovery } from '../../daemon/discovery.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import { channelFor } from '../../daemon/protocol/open-channel.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import type { KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { Cluster, type ClusterProgress } from '../cluster/cluster.ts';
import { type Endpoint, findDevices } from '../cluster/find-devices.ts';
import type { Overlap } from '../cluster/overlap.ts';
import type { HeadWish } from '../cluster/plan.ts';
import type { OpenModel } from '../model/open-model.ts';
import { storeOptions } from './options.ts';

export interface StartClusterOptions {
  readonly model: OpenModel;
  readonly identity: Identity;
  readonly key: ClusterKey;
  readonly peers: readonly Endpoint[];
  /** How long to listen for devices on the LAN; 0 for not at all. */
  readonly waitMs: number;
  /** Whether this process computes a share; it does in any case when there is no other device. */
  readonly ownShare: boolean;
  /** The process of this device's own daemon, if one runs. */
  readonly daemonRun?: string | undefined;
  readonly storeDir: string;
  /** Most bytes of all models in it. */
  readonly storeLimit?: number;
  readonly backend: BackendName;
  readonly threads: number;
  /** Of this process. */
  readonly memory: ProcessMemory;
  readonly contextLength: number;
  readonly kv: KvFormat;
  readonly log: Logger;
  /** Where the head is computed. */
  readonly head?: HeadWish;
  /** For measurements: see ClusterOptions. */
  readonly overlap?: Overlap;
  readonly onProgress: (progress: ClusterProgress) => void;
  readonly signal: AbortSignal;
}

/** Finds the devices and spreads the model over them. */
export async function startCluster(options: StartClusterOptions): Promise<Cluster> {
  const { identity, key, waitMs, log, signal } = options;
  // First, as a store that cannot be used is found at once.
  const store = new TileStore(options.storeDir, storeOptions(options));
  await store.cleanTemporary();
  const discovery = waitMs > 0 ? new Discovery({ id: identity.id, browse: true, log }) : null;
  discovery?.start();
  try {
    const ranks = await findDevices({
      key,
      identity,
      ownRun: options.daemonRun,
      openChannel: channelFor(options.backend),
      peers: options.peers,
      discovery,
      waitMs,
      log,
      signal,
    });
    const ownShare = ranks.length === 0 || options.ownShare;
    if (ownShare && !options.ownShare)
      log.warn('there is no other device; the whole model is computed here all the same');
    for (const { name, address, welcome } of ranks) {
      log.info({ device: name, address, cores: welcome.cores, backend: welcome.backend }, `using ${name}`);
    }
    return await Cluster.start({ ...options, ranks, ownShare, store });
  } finally {
    await discovery?.stop();
  }
}

/** The context to use: what was asked for, at most the model's, 4096 positions unless told otherwise. */
export function contextLength(model: OpenModel, wanted: number | undefined): number {
  return Math.min(wanted ?? 4096, model.spec.contextLength);
}
