import type { ClusterKey } from '../../daemon/cluster-key.ts';
import { Discovery } from '../../daemon/discovery.ts';
import { toStarlingError } from '../../daemon/errors.ts';
import type { Identity } from '../../daemon/identity.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import { DeviceProfiler } from '../../daemon/profile/device-profiler.ts';
import { channelFor } from '../../daemon/protocol/open-channel.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import type { KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { Measured } from '../cluster/bring-up.ts';
import { chooseDevices, type DevicesWish } from '../cluster/choose-devices.ts';
import { Cluster, type ClusterProgress } from '../cluster/cluster.ts';
import { type Endpoint, findDevices } from '../cluster/find-devices.ts';
import { OWN_ID, REPAIR_BYTES } from '../cluster/local-rank.ts';
import type { Overlap } from '../cluster/overlap.ts';
import type { PlanWishes } from '../cluster/planner/plan.ts';
import type { HeadWish } from '../cluster/planner/roles.ts';
import { measureDevices, weightFormats } from '../cluster/profile/measure-devices.ts';
import type { RemoteRank } from '../cluster/remote-rank.ts';
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
  /** Which devices compute; see DevicesWish. */
  readonly devices: DevicesWish;
  /** Who decode at a time, when it has to be fast. */
  readonly users?: number;
  /** Where what was measured of this device is kept, and by which Starling; null takes all devices to be equal. */
  readonly profiles: { readonly file: string; readonly version: string } | null;
  /** For measurements: see ClusterOptions. */
  readonly overlap?: Overlap;
  readonly onProgress: (progress: ClusterProgress) => void;
  readonly signal: AbortSignal;
}

/** Devices that are connected to, and may be planned for. */
export interface FoundCluster {
  readonly ranks: readonly RemoteRank[];
  /** Whether this computer may have a share of the layers. */
  readonly ownShare: boolean;
  /** Undefined where they are taken to be equal. */
  readonly measured: ReadonlyMap<string, Measured> | undefined;
  readonly store: TileStore;
}

/** Finds the devices and spreads the model over them. */
export async function startCluster(options: StartClusterOptions): Promise<Cluster> {
  const { measured, ...found } = await findCluster(options);
  const wishes = wishesOf(options);
  return Cluster.start({ ...options, ...found, wishes, ...(measured === undefined ? {} : { measured }) });
}

/** What a command's options ask of a plan. */
export const wishesOf = ({
  devices,
  head,
  users,
}: Pick<StartClusterOptions, 'devices' | 'head' | 'users'>): Partial<PlanWishes> => ({
  use: devices === 'auto' ? 'fastest' : 'all',
  ...(head === undefined ? {} : { head }),
  ...(users === undefined ? {} : { users, conversations: users }),
});

/** Finds the devices that are wished for, and has them measured where there are any besides this one. */
export async function findCluster(options: StartClusterOptions, measuresAlone = false): Promise<FoundCluster> {
  const { identity, key, waitMs, devices, profiles, log, signal } = options;
  // First, as a store that cannot be used is found at once.
  const store = new TileStore(options.storeDir, storeOptions(options));
  await store.cleanTemporary();
  const discovery = waitMs > 0 ? new Discovery({ id: identity.id, browse: true, log }) : null;
  discovery?.start();
  try {
    const found = await findDevices({
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
    const chosen = chooseDevices(devices, found, identity);
    const measures = profiles !== null && (chosen.ranks.length > 0 || measuresAlone);
    const { ranks, measured } = measures
      ? await measure(options, chosen.ranks, store, profiles)
      : { ranks: chosen.ranks, measured: undefined };
    const ownShare = ranks.length === 0 || (options.ownShare && chosen.own);
    if (ownShare && !options.ownShare)
      log.warn('there is no other device; the whole model is computed here all the same');
    for (const { name, address, welcome } of ranks) {
      log.info({ device: name, address, cores: welcome.cores, backend: welcome.backend }, `found ${name}`);
    }
    return { ranks, ownShare, measured, store };
  } finally {
    await discovery?.stop();
  }
}

/** What the devices can do. One that cannot tell is left out; where this one cannot, all are taken to be equal. */
async function measure(
  options: StartClusterOptions,
  ranks: readonly RemoteRank[],
  store: TileStore,
  { file, version }: NonNullable<StartClusterOptions['profiles']>,
): Promise<Pick<FoundCluster, 'ranks' | 'measured'>> {
  const { model, backend, threads, memory, log, onProgress, signal } = options;
  const profiler = new DeviceProfiler({ file, store, version, backend, threads, memory, log });
  const formats = weightFormats(model.table.tiles);
  try {
    const { own, devices, failed } = await measureDevices({ ranks, profiler, formats, onProgress, signal });
    for (const { rank, error } of failed) {
      log.warn({ device: rank.name, code: error.code }, `${rank.name} is left out: ${error.message}`);
    }
    // Cutting a damaged tile again takes memory too.
    const ownMemory = { ...own.memory, base: own.memory.base + REPAIR_BYTES };
    return {
      ranks: devices.map(({ rank }) => rank),
      measured: new Map<string, Measured>([
        [OWN_ID, { profile: { ...own, memory: ownMemory }, link: null }],
        ...devices.map(({ rank, profile, link }): [string, Measured] => [rank.id, { profile, link }]),
      ]),
    };
  } catch (thrown) {
    const error = toStarlingError(thrown);
    if (error.code !== 'memory_too_small') {
      for (const rank of ranks) rank.close();
      throw error;
    }
    log.warn({ code: error.code }, `this device cannot be measured, so all are taken to be equal: ${error.message}`);
    for (const rank of ranks) rank.unload();
    return { ranks, measured: undefined };
  }
}

/** The context to use: what was asked for, at most the model's, 4096 positions unless told otherwise. */
export function contextLength(model: OpenModel, wanted: number | undefined): number {
  return Math.min(wanted ?? 4096, model.spec.contextLength);
}
