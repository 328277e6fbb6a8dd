import { Engine } from '../../daemon/engine/engine.ts';
import { type TileShape, tileLayout, tileName } from '../../daemon/engine/tile.ts';
import { type ErrorCode, StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import { makeRoom } from '../../daemon/store/make-room.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import { type KvFormat, kvPageBytes } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { ForwardPass, forwardScratchBytes } from '../forward-pass.ts';
import { kvCapacity, kvDevice } from '../kv/kv-capacity.ts';
import type { OpenModel } from '../model/open-model.ts';
import { distributeTiles, storeTarget, type TileTarget } from '../tiles/distribute.ts';
import { RepairCutter } from '../tiles/repair-cutter.ts';
import { TileCutter } from '../tiles/tile-cutter.ts';
import { engineSpec } from '../tiles/tile-table.ts';
import { tokenReport } from './account-report.ts';
import type { Account } from './accounting.ts';
import { type Overlap, OverlapControl, type OverlapReport, WHOLE_STEPS } from './overlap.ts';
import { equalPlan } from './plan.ts';
import type { RemoteRank } from './remote-rank.ts';
import { Star } from './star.ts';
import { TileRepairs } from './tile-repairs.ts';

export interface ClusterProgress {
  readonly stage: 'distributing' | 'loading';
  readonly done: number;
  readonly total: number;
}

export interface ClusterOptions {
  readonly model: OpenModel;
  /** Devices reached over the network. */
  readonly ranks: readonly RemoteRank[];
  /** Whether this process computes a share of the layers too; it always computes the head. */
  readonly ownShare: boolean;
  readonly store: TileStore;
  readonly backend: BackendName;
  readonly threads: number;
  /** Of this process. */
  readonly memory: ProcessMemory;
  /** Most positions of a sequence. */
  readonly contextLength: number;
  /** How every device caches keys and values. */
  readonly kv: KvFormat;
  readonly log: Logger;
  readonly onProgress?: (progress: ClusterProgress) => void;
  readonly signal?: AbortSignal;
  /** For tests: see EngineOptions. */
  readonly readDelayMs?: number;
  /** For tests and measurements: which steps are halved, instead of those that measure faster so. */
  readonly overlap?: Overlap;
}

/** How often a device may find tiles of its store damaged before it counts as broken. */
const MOST_REPAIRS = 3;

/** A device that cannot store its tiles is left out. */
const STORE_IS_FULL: readonly ErrorCode[] = ['disk_full', 'store_limit_exceeded'];

/** A model spread over devices and ready to compute. */
export class Cluster {
  readonly forward: ForwardPass;
  readonly devices: number;
  readonly ranks: readonly RemoteRank[];
  readonly #star: Star;
  readonly #overlap: OverlapControl | null;
  readonly #ownShare: boolean;
  readonly #endUse: () => Promise<void>;

  private constructor(parts: Parts, ranks: readonly RemoteRank[], ownShare: boolean, use: () => Promise<void>) {
    this.forward = parts.forward;
    this.ranks = ranks;
    this.devices = ranks.length + (ownShare ? 1 : 0);
    this.#ownShare = ownShare;
    this.#star = parts.star;
    this.#overlap = parts.overlap;
    this.#endUse = use;
  }

  /**
   * Plans, cuts, distributes and loads. Tiles that a device has already are not sent; one that it finds damaged is sent again.
   * The coordinator reads its own share into memory last, so that cutting needs memory for one tensor only. A device that has
   * no room for its tiles is left out, and the others share the model.
   * @throws StarlingError of any part; the ranks are then closed
   */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const { model, store, ownShare, log } = options;
    const endUse = await store.use(model.id, model.spec.name);
    try {
      for (let ranks = options.ranks; ; ) {
        try {
          return new Cluster(await bringUp({ ...options, ranks }), ranks, ownShare, endUse);
        } catch (error) {
          const full = ranks.filter(({ lostBecause }) => lostBecause && STORE_IS_FULL.includes(lostBecause.code));
          const rest = ranks.filter((rank) => !full.includes(rank));
          if (full.length === 0 || (rest.length === 0 && !ownShare)) throw error;
          for (const { name, lostBecause } of full) {
            log.warn({ device: name, code: lostBecause?.code }, `${name} is left out: ${lostBecause?.message}`);
          }
          for (const rank of rest) rank.unload();
          ranks = rest;
        }
      }
    } catch (error) {
      for (const rank of options.ranks) rank.close();
      await endUse();
      throw error;
    }
  }

  /** Each device by name, and whether it is there. */
  health(): { readonly name: string; readonly state: 'ready' | 'lost' }[] {
    return [
      ...(this.#ownShare ? [{ name: OWN_NAME, state: 'ready' as const }] : []),
      ...this.ranks.map((rank) => ({ name: rank.name, state: rank.lost ? ('lost' as const) : ('ready' as const) })),
    ];
  }

  /** What the devices took so far, in the order of `deviceNames`. */
  account(): Account {
    return this.#star.account();
  }

  /** Which steps are halved; null where none ever is. */
  overlap(): OverlapReport | null {
    return this.#overlap?.report() ?? null;
  }

  /** This device, which computes the head whether or not it has a share of the layers, and the others. */
  get deviceNames(): string[] {
    return [OWN_NAME, ...this.ranks.map(({ name }) => name)];
  }

  /** Tiles of this device. */
  get ownTiles(): Engine['tiles'] {
    return this.#star.engine.tiles;
  }

  async stop(): Promise<void> {
    for (const rank of this.ranks) rank.close();
    await this.#star.engine.stop();
    await this.#endUse();
  }
}

const OWN_NAME = 'this device';

interface Parts {
  readonly forward: ForwardPass;
  readonly star: Star;
  readonly overlap: OverlapControl | null;
}

async function bringUp(options: ClusterOptions): Promise<Parts> {
  const { model, ranks, ownShare, store, backend, threads, signal } = options;
  const { heads, kvHeads, headDim } = model.table.engine;
  const shares = equalPlan(model.table.tiles, ranks.length + (ownShare ? 1 : 0), heads / kvHeads);
  const hosts = [
    ...(ownShare ? [{ memoryBytes: options.memory.budget(), backend }] : []),
    ...ranks.map(({ welcome }) => ({ memoryBytes: welcome.memoryBytes, backend: welcome.backend })),
  ];
  const kvDevices = hosts.map((host, i) => kvDevice(host, shares[i]!, kvPageBytes(options.kv, headDim)));
  const kvPages = kvCapacity(options.contextLength, kvDevices);
  const spec = { ...engineSpec(model.table, options.contextLength, options.kv), kvPages };
  const head = model.table.tiles.filter((tile) => tile.kind === 'head');
  const own = [...(ownShare ? shares[0]! : []), ...head];
  const remote = ranks.map((rank, i) => ({ rank, share: shares[i + (ownShare ? 1 : 0)]! }));
  const progress = (stage: ClusterProgress['stage']) => (done: number, total: number) =>
    options.onProgress?.({ stage, done, total });

  const ownMissing = await lacking(store, model.id, own);
  await makeOwnRoom(options, ownMissing);
  const missing = await allOf(
    remote.map(({ rank, share }) => rank.load({ id: model.id, name: model.spec.name }, spec, share)),
  );
  await deliver(
    options,
    [...remote.map(({ rank }, i) => rankTarget(rank, missing[i]!)), storeTarget(store, model.id, ownMissing)],
    progress('distributing'),
  );
  const repairs = new TileRepairs(new RepairCutter(model, backend), store, model.id, options.log);
  for (const rank of ranks) rank.onMissing((tiles) => repairs.mendRank(rank, tiles));
  await startRanks(options, remote);
  const engine = await loadOwn(options, own, async () =>
    Engine.create({
      spec,
      tiles: own,
      backend,
      threads,
      // Anew for each attempt: that collects the memory of the last one.
      memory: {
        budget: options.memory.budget(),
        base: (await options.memory.base()) + REPAIR_BYTES,
        threadBytes: options.memory.threadBytes,
      },
      scratchBytes: forwardScratchBytes(spec),
      load: (tile, into) => store.read(model.id, tileName(tile), into),
      fileOf: (tile) => store.path(model.id, tileName(tile)),
      repair: (tile, error) => repairs.mendOwn(tile, error),
      onLoaded: progress('loading'),
      ...(options.readDelayMs === undefined ? {} : { readDelayMs: options.readDelayMs }),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  const { pinned: pinnedTiles, streamed: streamedTiles } = engine.tiles;
  logMemory(options.log, OWN_NAME, { ...engine.memory, pinnedTiles, streamedTiles });
  for (const { name, memory } of ranks) logMemory(options.log, name, memory);
  const names = [OWN_NAME, ...ranks.map(({ name }) => name)];
  const star = new Star(engine, ranks, (account, rows) => logStep(options.log, names, account, rows));
  const overlap = mayOverlap(engine, ranks) ? new OverlapControl() : null;
  const policy = options.overlap ?? overlap ?? WHOLE_STEPS;
  const forward = new ForwardPass(star, model.spec, model, options.contextLength, policy);
  return { forward, star, overlap };
}

/**
 * Whether halving steps can be faster at all: with sums that travel, and all tiles in memory. Tiles that are streamed would have
 * to be read for each half, and the disk is at work while sums travel anyway.
 */
function mayOverlap(engine: Engine, ranks: readonly RemoteRank[]): boolean {
  const isStreaming = engine.tiles.streamed > 0 || ranks.some(({ memory }) => memory?.streamedTiles !== 0);
  return ranks.length > 0 && !isStreaming;
}

/** All values, or the first failure, when everything has settled: what is still under way would meet what comes next. */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}

/** What cutting a tile again takes: parts of a tensor, the tile, and copies on their way. */
export const REPAIR_BYTES = 16 * 2 ** 20;

async function makeOwnRoom({ model, store, log }: ClusterOptions, missing: readonly TileShape[]): Promise<void> {
  const bytes = missing.map(({ matrices }) => tileLayout(matrices).bytes);
  for (const removed of await makeRoom(store, model.id, bytes)) {
    log.info({ model: removed.name ?? removed.modelId, bytes: removed.bytes }, 'removed a model to make room');
  }
}

function logMemory(log: Logger, device: string, memory: RemoteRank['memory']): void {
  const streamed = memory?.streamedTiles ?? 0;
  const how = streamed === 0 ? 'keeps its tiles in memory' : `reads ${streamed} tiles from disk for every token`;
  log.info({ device, memory }, `${device} ${how}`);
}

function logStep(log: Logger, names: readonly string[], account: Account, rows: number): void {
  if (!log.isLevelEnabled('debug')) return;
  log.debug({ rows, ms: Math.round(account.ms), ...tokenReport(account, names) }, 'step');
}

/** Cuts and sends what the targets lack; opens the model's scratch memory only when there is something to cut. */
async function deliver(
  { model, backend, log, signal }: ClusterOptions,
  targets: readonly TileTarget[],
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  const wanted = targets.flatMap((target) => target.missing);
  if (wanted.length === 0) return;
  const arena = createArena(backend, 4096);
  const cutter = new TileCutter(model.gguf, model.spec, arena, (filled) => openKernels(filled.handle()), wanted);
  const started = performance.now();
  const delivered = await distributeTiles(cutter, targets, onProgress, signal);
  const seconds = Math.round(performance.now() - started) / 1000;
  log.info({ delivered, seconds }, `cut and delivered ${Math.round(delivered / 1e6)} MB of tiles in ${seconds} s`);
}

/** Has all ranks read their tiles, sending again what they find damaged. */
async function startRanks(
  options: ClusterOptions,
  remote: readonly { rank: RemoteRank; share: readonly TileShape[] }[],
): Promise<void> {
  let starting = remote;
  for (let round = 0; starting.length > 0; round++) {
    const damaged = await Promise.all(starting.map(({ rank, share }) => rank.start(share, () => {})));
    const repairs = starting
      .map(({ rank }, i) => rankTarget(rank, damaged[i]!))
      .filter(({ missing }) => missing.length > 0);
    starting = starting.filter((_, i) => damaged[i]!.length > 0);
    if (starting.length > 0 && round === MOST_REPAIRS) {
      const names = starting.map(({ rank }) => rank.name).join(', ');
      throw new StarlingError('tile_damaged', `tiles keep being damaged on the disk of ${names}; check that disk`);
    }
    for (const { rank } of starting)
      options.log.warn({ device: rank.name }, 'found damaged tiles in its store; sending them again');
    await deliver(options, repairs, () => {});
  }
}

/** Creates the own engine, cutting again any tile that proves damaged on this machine's disk. */
async function loadOwn(
  options: ClusterOptions,
  own: readonly TileShape[],
  create: () => Promise<Engine>,
): Promise<Engine> {
  const { model, store, log } = options;
  for (let round = 0; ; round++) {
    try {
      return await create();
    } catch (thrown) {
      const error = toStarlingError(thrown);
      if (!['tile_damaged', 'tile_missing'].includes(error.code) || round === own.length) throw error;
      log.warn({ code: error.code }, error.message);
      await deliver(options, [storeTarget(store, model.id, await lacking(store, model.id, own))], () => {});
    }
  }
}

const rankTarget = (rank: RemoteRank, missing: readonly TileShape[]): TileTarget => ({
  missing,
  push: (tile, content, sha256) => rank.push(tile, content, sha256),
});

async function lacking(store: TileStore, modelId: string, tiles: readonly TileShape[]): Promise<TileShape[]> {
  const have = await Promise.all(
    tiles.map((tile) => store.has(modelId, tileName(tile), tileLayout(tile.matrices).bytes)),
  );
  return tiles.filter((_, i) => !have[i]);
}
