import type { EngineSpec } from '../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { OpenModel } from '../model/open-model.ts';
import { distributeTiles, type TileTarget } from '../tiles/distribute.ts';
import { TileCutter } from '../tiles/tile-cutter.ts';
import type { ClusterProgress } from './cluster.ts';
import type { Plan } from './planner/plan.ts';
import type { Rank } from './rank.ts';

export interface ApplyOptions {
  readonly model: OpenModel;
  /** What cuts tiles. */
  readonly backend: BackendName;
  readonly log: Logger;
  readonly onProgress?: (progress: ClusterProgress) => void;
  readonly signal?: AbortSignal;
}

/** How often a device may find tiles of its store damaged before it counts as broken. */
const MOST_REPAIRS = 3;

/**
 * Gives ranks their shares of a plan: each makes room, what it lacks is cut and sent, and it reads its tiles into
 * memory. Tiles that it has already are not sent.
 * @param ranks those whose share changes; this computer first, which reads its tiles last, so that cutting needs memory
 * for one tensor only
 * @throws StarlingError of any rank; when everything under way has settled
 */
export async function applyPlan(
  options: ApplyOptions,
  plan: Plan,
  engine: EngineSpec,
  ranks: readonly Rank[],
): Promise<void> {
  const { model } = options;
  const name = { id: model.id, name: model.spec.name };
  const missing = await allOf(ranks.map((rank) => rank.load(name, engine, plan.shares.get(rank.id) ?? [])));
  await deliver(options, targets(ranks, missing), (done, total) =>
    options.onProgress?.({ stage: 'distributing', done, total }),
  );
  const [first, ...others] = ranks;
  await startRanks(options, others);
  if (first !== undefined) await startRanks(options, [first]);
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

/** What ranks lack, and how it comes to them. */
const targets = (ranks: readonly Rank[], missing: readonly (readonly TileShape[])[]): TileTarget[] =>
  ranks.map((rank, i) => ({
    missing: missing[i]!,
    push: (tile, content, sha256) => rank.push(tile, content, sha256),
  }));

/** Cuts and sends what the targets lack; opens the model's scratch memory only when there is something to cut. */
async function deliver(
  { model, backend, log, signal }: ApplyOptions,
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
async function startRanks(options: ApplyOptions, ranks: readonly Rank[]): Promise<void> {
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
