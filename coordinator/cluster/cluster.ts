import { cachePageBytes } from '../../daemon/engine/layout.ts';
import { type ErrorCode, StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import type { KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { ForwardPass } from '../forward-pass.ts';
import { kvCapacity, kvDevice } from '../kv/kv-capacity.ts';
import type { OpenModel } from '../model/open-model.ts';
import { residualBytes } from '../residual-stream.ts';
import { distributeTiles, type TileTarget } from '../tiles/distribute.ts';
import { RepairCutter } from '../tiles/repair-cutter.ts';
import { TileCutter } from '../tiles/tile-cutter.ts';
import { engineSpec } from '../tiles/tile-table.ts';
import { tokenReport } from './account-report.ts';
import { type Account, Accounting } from './accounting.ts';
import { LocalRank } from './local-rank.ts';
import { type Overlap, OverlapControl, type OverlapReport, WHOLE_STEPS } from './overlap.ts';
import { equalPlan, type HeadWish, type Plan } from './plan.ts';
import type { Rank } from './rank.ts';
import type { RemoteRank } from './remote-rank.ts';
import { Star } from './star.ts';
import { TileRepairs } from './tile-repairs.ts';

export interface ClusterProgress {
  /** Reading the model file through comes before there is a cluster. */
  readonly stage: 'checking' | 'measuring' | 'distributing' | 'loading';
  readonly done: number;
  readonly total: number;
}

export interface ClusterOptions {
  readonly model: OpenModel;
  /** Devices reached over the network. */
  readonly ranks: readonly RemoteRank[];
  /** Whether this process computes a share of the layers too. */
  readonly ownShare: boolean;
  /** Where the head is computed. */
  readonly head?: HeadWish;
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
  /** Devices that compute a share of the layers. */
  readonly devices: number;
  readonly ranks: readonly RemoteRank[];
  /** This computer, which is the centre of the star. */
  readonly local: LocalRank;
  readonly #accounting: Accounting;
  readonly #overlap: OverlapControl | null;
  readonly #endUse: () => Promise<void>;

  private constructor(
    { forward, plan, local, accounting, overlap }: Parts,
    ranks: readonly RemoteRank[],
    use: () => Promise<void>,
  ) {
    this.forward = forward;
    this.ranks = ranks;
    this.local = local;
    this.devices = [local, ...ranks].filter(({ id }) => hasLayers(plan, id)).length;
    this.#accounting = accounting;
    this.#overlap = overlap;
    this.#endUse = use;
  }

  /**
   * Plans, cuts, distributes and loads. Tiles that a device has already are not sent; one that it finds damaged is sent
   * again. The coordinator reads its own share into memory last, so that cutting needs memory for one tensor only. A
   * device that has no room for its tiles is left out, and the others share the model.
   * @throws StarlingError of any part; the ranks are then closed
   */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const { model, store, ownShare, log, signal } = options;
    // What is under way with a device may take a minute to give up by itself.
    const end = (): void => {
      for (const rank of options.ranks)
        rank.giveUp(new StarlingError('cancelled', 'ended while the model was brought up'));
    };
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end, { once: true });
    let endUse = async (): Promise<void> => {};
    try {
      endUse = await store.use(model.id, model.spec.name);
      for (let ranks = options.ranks; ; ) {
        try {
          return new Cluster(await bringUp({ ...options, ranks }), ranks, endUse);
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
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  /** Each device, and whether it is there. */
  health(): { readonly id: string; readonly name: string; readonly state: 'ready' | 'lost' }[] {
    return [
      ...(this.devices > this.ranks.length
        ? [{ id: this.local.id, name: this.local.name, state: 'ready' as const }]
        : []),
      ...this.ranks.map(({ id, name, lost }) => ({ id, name, state: lost ? ('lost' as const) : ('ready' as const) })),
    ];
  }

  /** What the devices took so far: this one first, whether or not it has a share of the layers. */
  account(): Account {
    return this.#accounting.snapshot();
  }

  /** Which steps are halved; null where none ever is. */
  overlap(): OverlapReport | null {
    return this.#overlap?.report() ?? null;
  }

  async stop(): Promise<void> {
    for (const rank of this.ranks) rank.close();
    await this.local.stop();
    await this.#endUse();
  }
}

interface Parts {
  readonly forward: ForwardPass;
  readonly plan: Plan;
  readonly local: LocalRank;
  readonly accounting: Accounting;
  readonly overlap: OverlapControl | null;
}

const hasLayers = ({ shares }: Plan, id: string): boolean =>
  shares.get(id)?.some(({ kind }) => kind !== 'head') ?? false;

const progressOf =
  ({ onProgress }: ClusterOptions, stage: ClusterProgress['stage']) =>
  (done: number, total: number): void =>
    onProgress?.({ stage, done, total });

async function bringUp(options: ClusterOptions): Promise<Parts> {
  const { model, store, log } = options;
  const repairs = new TileRepairs(new RepairCutter(model, options.backend), store, model.id, log);
  const local = new LocalRank({
    ...options,
    repair: (tile, error) => repairs.mendOwn(tile, error),
    scratchBytes: ({ cols }) => residualBytes(model.spec, cols),
    onLoaded: progressOf(options, 'loading'),
  });
  try {
    return await bringUpWith(local, repairs, options);
  } catch (error) {
    await local.stop();
    throw error;
  }
}

async function bringUpWith(local: LocalRank, repairs: TileRepairs, options: ClusterOptions): Promise<Parts> {
  const { model, log } = options;
  const ranks: readonly Rank[] = [local, ...options.ranks];
  const plan = equalPlan(model.table.tiles, model.table.engine, {
    centre: local.id,
    ranks: ranks.filter((rank) => rank !== local || options.ownShare).map(({ id }) => id),
    head: options.head ?? 'auto',
  });
  log.info(`the head is ${plan.head === 'shared' ? 'shared by all devices' : 'computed by this device'}: ${plan.why}`);
  const shareOf = ({ id }: Rank) => plan.shares.get(id) ?? [];
  const caches = { ...model.table.engine, kv: options.kv };
  const pageBytes = (tile: TileShape): number => cachePageBytes(caches, tile);
  const kvDevices = ranks.map((rank) => kvDevice(rank.profile, shareOf(rank), pageBytes));
  const kvPages = kvCapacity(options.contextLength, kvDevices);
  const spec = { ...engineSpec(model.table, options.contextLength, options.kv), kvPages };
  const name = { id: model.id, name: model.spec.name };
  const missing = await allOf(ranks.map((rank) => rank.load(name, spec, shareOf(rank))));
  await deliver(options, targets(ranks, missing), progressOf(options, 'distributing'));
  for (const rank of options.ranks) rank.onMissing((tiles) => repairs.mendRank(rank, tiles));
  await startRanks(options, options.ranks);
  await startRanks(options, [local]);
  for (const rank of ranks) logMemory(log, rank);
  const { engine } = local;
  const accounting = new Accounting({ devices: ranks, onStep: (account, rows) => logStep(log, account, rows) });
  const leaves = options.ranks.map((leaf) => ({ leaf, head: headOf(shareOf(leaf)) }));
  const allreduce = new Star({ engine, leaves, accounting, id: local.id });
  const overlap = mayOverlap(ranks) ? new OverlapControl() : null;
  const forward = new ForwardPass({
    engine,
    allreduce,
    model: model.spec,
    weights: model,
    contextLength: options.contextLength,
    overlap: options.overlap ?? overlap ?? WHOLE_STEPS,
  });
  return { forward, plan, local, accounting, overlap };
}

/** The part of the vocabulary that a share's head tiles are. */
function headOf(share: readonly TileShape[]): { first: number; count: number } {
  const tiles = share.filter(({ kind }) => kind === 'head');
  return { first: tiles[0]?.first ?? 0, count: tiles.reduce((sum, { count }) => sum + count, 0) };
}

/**
 * Whether halving steps can be faster at all: with sums that travel, and all tiles in memory. Tiles that are streamed
 * would have to be read for each half, and the disk is at work while sums travel anyway.
 */
function mayOverlap(ranks: readonly Rank[]): boolean {
  return ranks.length > 1 && ranks.every(({ memory }) => memory?.streamedTiles === 0);
}

/**
 * All values, or the first failure, when everything has settled: what is still under way would meet what comes next.
 */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}

function logMemory(log: Logger, { name, memory }: Rank): void {
  const streamed = memory?.streamedTiles ?? 0;
  const how =
    streamed === 0 ? 'keeps its tiles in memory' : `reads ${streamed} tiles from disk whenever it computes them`;
  log.info({ device: name, memory }, `${name} ${how}`);
}

function logStep(log: Logger, account: Account, rows: number): void {
  if (!log.isLevelEnabled('debug')) return;
  log.debug({ rows, ms: Math.round(account.ms), ...tokenReport(account) }, 'step');
}

/** What ranks lack, and how it comes to them. */
const targets = (ranks: readonly Rank[], missing: readonly (readonly TileShape[])[]): TileTarget[] =>
  ranks.map((rank, i) => ({
    missing: missing[i]!,
    push: (tile, content, sha256) => rank.push(tile, content, sha256),
  }));

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

/** Has ranks read their tiles, sending again what they find damaged. */
async function startRanks(options: ClusterOptions, ranks: readonly Rank[]): Promise<void> {
  let starting = ranks;
  for (let round = 0; starting.length > 0; round++) {
    const damaged = await allOf(starting.map((rank) => rank.start()));
    const repairs = targets(starting, damaged).filter(({ missing }) => missing.length > 0);
    starting = starting.filter((_, i) => damaged[i]!.length > 0);
    if (starting.length > 0 && round === MOST_REPAIRS) {
      const names = starting.map(({ name }) => name).join(', ');
      throw new StarlingError('tile_damaged', `tiles keep being damaged on the disk of ${names}; check that disk`);
    }
    for (const { name } of starting)
      options.log.warn({ device: name }, 'found damaged tiles in its store; sending them again');
    await deliver(options, repairs, () => {});
  }
}
