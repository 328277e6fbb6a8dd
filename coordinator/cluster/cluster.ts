import { Engine } from '../../daemon/engine/engine.ts';
import { type TileShape, tileLayout, tileName } from '../../daemon/engine/tile.ts';
import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import type { KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { ForwardPass, forwardScratchBytes } from '../forward-pass.ts';
import type { OpenModel } from '../model/open-model.ts';
import { distributeTiles, storeTarget, type TileTarget } from '../tiles/distribute.ts';
import { TileCutter } from '../tiles/tile-cutter.ts';
import { engineSpec } from '../tiles/tile-table.ts';
import { equalPlan } from './plan.ts';
import type { RemoteRank } from './remote-rank.ts';
import { Star } from './star.ts';

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
  /** Most positions of a sequence. */
  readonly contextLength: number;
  /** How every device caches keys and values. */
  readonly kv: KvFormat;
  readonly log: Logger;
  readonly onProgress?: (progress: ClusterProgress) => void;
  readonly signal?: AbortSignal;
}

/** How often a device may find tiles of its store damaged before it counts as broken. */
const MOST_REPAIRS = 3;

/** A model spread over devices and ready to compute. */
export class Cluster {
  readonly forward: ForwardPass;
  readonly devices: number;
  readonly ranks: readonly RemoteRank[];
  readonly #engine: Engine;
  readonly #ownShare: boolean;

  private constructor(forward: ForwardPass, engine: Engine, options: ClusterOptions) {
    this.forward = forward;
    this.ranks = options.ranks;
    this.devices = options.ranks.length + (options.ownShare ? 1 : 0);
    this.#ownShare = options.ownShare;
    this.#engine = engine;
  }

  /**
   * Plans, cuts, distributes and loads. Tiles that a device has already are not sent; one that it finds damaged is sent again.
   * The coordinator reads its own share into memory last, so that cutting needs memory for one tensor only.
   * @throws StarlingError of any part; the ranks are then closed
   */
  static async start(options: ClusterOptions): Promise<Cluster> {
    try {
      const { forward, engine } = await bringUp(options);
      return new Cluster(forward, engine, options);
    } catch (error) {
      for (const rank of options.ranks) rank.close();
      throw error;
    }
  }

  /** Each device by name, and whether it is there. */
  health(): { readonly name: string; readonly state: 'ready' | 'lost' }[] {
    return [
      ...(this.#ownShare ? [{ name: 'this device', state: 'ready' as const }] : []),
      ...this.ranks.map((rank) => ({ name: rank.name, state: rank.lost ? ('lost' as const) : ('ready' as const) })),
    ];
  }

  async stop(): Promise<void> {
    for (const rank of this.ranks) rank.close();
    await this.#engine.stop();
  }
}

async function bringUp(options: ClusterOptions): Promise<{ forward: ForwardPass; engine: Engine }> {
  const { model, ranks, ownShare, store, backend, threads, signal } = options;
  const spec = engineSpec(model.table, options.contextLength, options.kv);
  const shares = equalPlan(model.table.tiles, ranks.length + (ownShare ? 1 : 0), spec.heads / spec.kvHeads);
  const head = model.table.tiles.filter((tile) => tile.kind === 'head');
  const own = [...(ownShare ? shares[0]! : []), ...head];
  const remote = ranks.map((rank, i) => ({ rank, share: shares[i + (ownShare ? 1 : 0)]! }));
  const progress = (stage: ClusterProgress['stage']) => (done: number, total: number) =>
    options.onProgress?.({ stage, done, total });

  const missing = await Promise.all(
    remote.map(({ rank, share }) => rank.load({ id: model.id, name: model.spec.name }, spec, share)),
  );
  await deliver(
    options,
    [
      ...remote.map(({ rank }, i) => rankTarget(rank, missing[i]!)),
      storeTarget(store, model.id, await lacking(store, model.id, own)),
    ],
    progress('distributing'),
  );
  await startRanks(options, remote);
  const engine = await loadOwn(options, own, () =>
    Engine.create({
      spec,
      tiles: own,
      backend,
      threads,
      scratchBytes: forwardScratchBytes(spec),
      load: (tile, into) => store.read(model.id, tileName(tile), into),
      onLoaded: progress('loading'),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  const forward = new ForwardPass(new Star(engine, ranks), model.spec, model, options.contextLength);
  return { forward, engine };
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
