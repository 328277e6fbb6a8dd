import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import type { DeviceProfile, LinkProfile } from '../../daemon/profile/device-profile.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import type { TileShape } from '../../daemon/tile/tile.ts';
import type { KvFormat } from '../../kernels/formats.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import { ForwardPass } from '../forward-pass.ts';
import type { OpenModel } from '../model/open-model.ts';
import { residualBytes } from '../residual-stream.ts';
import { RepairCutter } from '../tiles/repair-cutter.ts';
import { engineSpec } from '../tiles/tile-table.ts';
import { tokenReport } from './account-report.ts';
import { type Account, Accounting } from './accounting.ts';
import { applyPlan } from './apply-plan.ts';
import type { ClusterProgress } from './cluster.ts';
import { DriftWatch } from './drift.ts';
import { LocalRank } from './local-rank.ts';
import { type Overlap, OverlapControl, WHOLE_STEPS } from './overlap.ts';
import { milliseconds } from './planner/left-out.ts';
import { type Plan, type PlanWishes, plan as planModel } from './planner/plan.ts';
import { planAside } from './planner/plan-aside.ts';
import { partsOfWeights } from './planner/plan-report.ts';
import { nominalDevice, type PlannedDevice } from './planner/planned-device.ts';
import type { Prediction } from './planner/predict.ts';
import type { Rank } from './rank.ts';
import type { RemoteRank } from './remote-rank.ts';
import type { PlanningInput } from './replan.ts';
import { Star } from './star.ts';
import { TileRepairs } from './tile-repairs.ts';
import { TokenTimes } from './token-times.ts';

/** What was measured of a device, and of the way to it; null of the serving one. */
export interface Measured {
  readonly profile: DeviceProfile;
  readonly link: LinkProfile | null;
}

export interface BringUpOptions {
  readonly model: OpenModel;
  /** Devices reached over the network. */
  readonly ranks: readonly RemoteRank[];
  /** Whether this process may compute a share of the layers too. */
  readonly ownShare: boolean;
  /** What a plan is to be made for; by default all devices are used, for one user. */
  readonly wishes?: Partial<PlanWishes>;
  /** Of each device by its id, this computer's by OWN_ID; where it is left out, devices are taken to be equal. */
  readonly measured?: ReadonlyMap<string, Measured>;
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

/** What stays while plans come and go. */
export interface Site {
  readonly local: LocalRank;
  readonly repairs: TileRepairs;
  /** As devices were when the cluster began. */
  readonly input: PlanningInput;
}

/** A rank as far as a plan asks. */
export type PlannedRank = Pick<Rank, 'id' | 'name' | 'profile'>;

/** A plan whose devices are ready to compute. */
export interface RunningPlan {
  readonly plan: Plan;
  readonly forward: ForwardPass;
  readonly accounting: Accounting;
  readonly tokenTimes: TokenTimes;
  /** Null where devices were taken to be equal. */
  readonly drift: DriftWatch | null;
  readonly overlap: OverlapControl | null;
}

/** This computer, and what there is to be planned for. */
export function prepareSite(options: BringUpOptions): Site {
  const { model, store, log, kv, contextLength, onProgress } = options;
  const repairs = new TileRepairs(new RepairCutter(model, options.backend), store, model.id, log);
  const local = new LocalRank({
    ...options,
    repair: (tile, error) => repairs.mendOwn(tile, error),
    scratchBytes: ({ cols }) => residualBytes(model.spec, cols),
    onLoaded: (done, total) => onProgress?.({ stage: 'loading', done, total }),
  });
  const engine = engineSpec(model.table, contextLength, kv);
  const wishes = planWishes(contextLength, options.wishes);
  return {
    ...{ local, repairs },
    input: { tiles: model.table.tiles, engine, devices: plannedDevices(local, options), wishes },
  };
}

/** @throws StarlingError memory_too_small */
export async function makePlan({ log, measured }: BringUpOptions, input: PlanningInput): Promise<Plan> {
  const { tiles, engine, devices, wishes } = input;
  // Equal devices are planned for at once.
  const make = measured === undefined ? planModel : planAside;
  const plan = await make(tiles, engine, devices, wishes);
  log.info(`the head is ${plan.head === 'shared' ? 'shared by devices' : 'computed by this device'}`);
  for (const { name, why, reason } of plan.leftOut) log.warn({ device: name, reason }, why);
  return plan;
}

/**
 * Has a plan carried out.
 * @param input that it was made from
 * @param changing ids of the devices that are to be loaded; the others compute what they do
 * @param before what the devices took under a plan before this one, if there was one
 * @throws StarlingError of any device
 */
export async function carryOut(
  options: BringUpOptions,
  { local, repairs }: Site,
  input: PlanningInput,
  plan: Plan,
  changing: ReadonlySet<string>,
  before?: Account,
): Promise<RunningPlan> {
  const { model, log, contextLength } = options;
  const isMeasured = options.measured !== undefined;
  const shareOf = ({ id }: Rank): readonly TileShape[] => plan.shares.get(id) ?? [];
  const leaves = options.ranks.filter((rank) => shareOf(rank).length > 0);
  const ranks: readonly Rank[] = [local, ...leaves];
  // One that was measured and is to be loaded first is kept from others; one that was measured for nothing is given back.
  const isFirst = before === undefined;
  for (const rank of [local, ...options.ranks]) {
    if (changing.has(rank.id) && !(isFirst && ranks.includes(rank))) rank.unload();
  }
  const loading = ranks.filter(({ id }) => changing.has(id));
  // Before: a device may tell of a damaged tile together with being ready.
  for (const rank of leaves) rank.onMissing((tiles) => repairs.mendRank(rank, tiles));
  await applyPlan(options, plan, { ...input.engine, kvPages: plan.kvPages }, loading);
  for (const rank of loading) logMemory(log, rank);
  const { engine } = local;
  const tokenTimes = new TokenTimes(Math.min(input.wishes.users, MAX_ROWS));
  const drift = isMeasured ? new DriftWatch(input, plan) : null;
  const onStep = (account: Account, rows: number): void => {
    tokenTimes.observe(rows, account.ms);
    drift?.observe(account, rows);
    if (isMeasured) tellPace(log, tokenTimes, plan.predicted);
    logStep(log, account, rows);
  };
  const accounting = new Accounting({ devices: ranks, onStep, ...(before === undefined ? {} : { before }) });
  const starLeaves = leaves.map((leaf) => ({ leaf, head: headOf(shareOf(leaf)) }));
  const allreduce = new Star({ engine, leaves: starLeaves, accounting, id: local.id });
  const overlap = mayOverlap(ranks) ? new OverlapControl() : null;
  const forward = new ForwardPass({
    engine,
    allreduce,
    model: model.spec,
    weights: model,
    contextLength,
    overlap: options.overlap ?? overlap ?? WHOLE_STEPS,
  });
  if (isMeasured) tellPlan(log, plan);
  return { plan, forward, accounting, tokenTimes, drift, overlap };
}

/** All that a plan takes as wished; what is not is left to it, for one user and all devices. */
export const planWishes = (context: number, wishes: Partial<PlanWishes> = {}): PlanWishes => ({
  ...{ head: 'auto', use: 'all', users: 1, context },
  ...wishes,
});

/** As they were measured, or equal ones; this computer first. */
export function plannedDevices(
  own: PlannedRank,
  { ranks, ownShare, model, measured }: Pick<BringUpOptions, 'ranks' | 'ownShare' | 'model' | 'measured'>,
): PlannedDevice[] {
  const scratchBytes = residualBytes(model.spec, model.table.engine.cols);
  return [own, ...ranks].map((rank) => {
    const { id, name, profile } = rank;
    const isOwn = rank === own;
    const device = {
      ...{ id, name, backend: profile.backend, threads: profile.threads },
      computesLayers: !isOwn || ownShare,
      scratchBytes: isOwn ? scratchBytes : 0,
    };
    const known = measured?.get(id);
    // What the process itself takes, each device knows when it loads its share.
    const memory = { budget: profile.memoryBytes, base: 0, threadBytes: 0 };
    return known === undefined ? nominalDevice({ ...device, memory }, isOwn) : { ...device, ...known };
  });
}

function tellPlan(log: Logger, plan: Plan): void {
  const { tokenMs, promptMs, promptTokens, binding } = plan.predicted;
  const parts = partsOfWeights(plan).map(({ name, part }) => `${name} computes ${(part * 100).toFixed(0)}%`);
  log.info(
    { predicted: { tokenMs, promptMs, promptTokens, binding } },
    `expecting ${milliseconds(tokenMs)} a token, and ${milliseconds(promptMs)} for a prompt of ${promptTokens} tokens; ${binding} binds; ${parts.join(', ')}`,
  );
}

/** Says what a token takes, once that is known, and when it is no longer so. */
function tellPace(log: Logger, tokenTimes: TokenTimes, { tokenMs }: Prediction): void {
  const measuredMs = tokenTimes.news();
  if (measuredMs === null) return;
  log.info(
    { measuredTokenMs: measuredMs, predictedTokenMs: tokenMs },
    `a token takes ${milliseconds(measuredMs)}; ${milliseconds(tokenMs)} were expected`,
  );
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
