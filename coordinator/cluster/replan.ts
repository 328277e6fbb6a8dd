import type { EngineSpec } from '../../daemon/engine/engine-spec.ts';
import { type TileShape, tileBytes, tileName } from '../../daemon/tile/tile.ts';
import { milliseconds } from './planner/left-out.ts';
import { type Plan, type PlanWishes, plan as planModel, predictAgain } from './planner/plan.ts';
import type { PlannedDevice } from './planner/planned-device.ts';

/** What plans of a model are made from. */
export interface PlanningInput {
  readonly tiles: readonly TileShape[];
  readonly engine: Omit<EngineSpec, 'kvPages'>;
  /** The serving one first. */
  readonly devices: readonly PlannedDevice[];
  readonly wishes: PlanWishes;
}

/** Another plan for the same devices, and what going over to it comes to. */
export interface Move {
  readonly plan: Plan;
  /** Milliseconds of a token as it is, and as it would be. */
  readonly nowMs: number;
  readonly thenMs: number;
  /** Of tiles that come to devices which did not have them. */
  readonly bytes: number;
  /** Milliseconds in which nothing is computed. */
  readonly costMs: number;
  /** Milliseconds after which it has saved that; infinite where nothing is computed. */
  readonly paysAfterMs: number;
  readonly pays: boolean;
}

/** A move has to pay within so long, */
const PAYS_WITHIN_MS = 300_000;
/** and to save this part of a token, as what was measured is not exact. */
const LEAST_GAIN = 0.1;
/** Bytes of tiles that are cut in a millisecond; docs/PERFORMANCE.md, "Memory while cutting". */
const CUT_RATE = 0.19e6;

/**
 * Looks for a better plan for devices that have proved to be other than they were.
 * @param input the devices as they are now
 * @param busy the part of the time that was lately spent computing, 0 to 1
 * @param texts that are under way, and would be computed again
 * @returns null where the running plan is the best
 */
export function considerMove(input: PlanningInput, running: Plan, busy: number, texts: number): Move | null {
  const { tiles, engine, devices, wishes } = input;
  const now = predictAgain(tiles, engine, devices, wishes, running);
  if (now === null) return null;
  const plan = planModel(tiles, engine, devices, wishes, running);
  const moved = movedShares(running, plan);
  if (moved.size === 0) return null;
  const { bytes, ms } = movingCost(devices, running, plan, moved);
  const [nowMs, thenMs] = [now.tokenMs, plan.predicted.tokenMs];
  const costMs = ms + texts * plan.predicted.promptMs;
  const gain = 1 - thenMs / nowMs;
  const paysAfterMs = gain <= 0 || busy <= 0 ? Number.POSITIVE_INFINITY : costMs / (busy * gain);
  return { plan, nowMs, thenMs, bytes, costMs, paysAfterMs, pays: gain >= LEAST_GAIN && paysAfterMs <= PAYS_WITHIN_MS };
}

/** Ids of the devices whose part is not the same in both plans. */
export function movedShares(from: Plan, to: Plan): Set<string> {
  const ids = new Set([...from.shares.keys(), ...to.shares.keys()]);
  const names = ({ shares }: Plan, id: string): string => (shares.get(id) ?? []).map(tileName).join();
  // Caches are as long on all devices.
  const all = from.kvPages !== to.kvPages;
  return new Set([...ids].filter((id) => all || names(from, id) !== names(to, id)));
}

/** Tiles are cut and sent, all over the serving device's connection; then each device reads its share. */
function movingCost(
  devices: readonly PlannedDevice[],
  from: Plan,
  to: Plan,
  moved: ReadonlySet<string>,
): { bytes: number; ms: number } {
  let bytes = 0;
  let sentMs = 0;
  let readMs = 0;
  let fastest = 0;
  let sent = 0;
  for (const { id, link, profile } of devices) {
    fastest = Math.max(fastest, link?.bytesPerMs ?? 0);
    if (!moved.has(id)) continue;
    const had = new Set((from.shares.get(id) ?? []).map(tileName));
    const share = to.shares.get(id) ?? [];
    const lacks = bytesOf(share.filter((tile) => !had.has(tileName(tile))));
    bytes += lacks;
    readMs = Math.max(readMs, bytesOf(share) / profile.disk);
    if (link === null) continue;
    sent += lacks;
    sentMs = Math.max(sentMs, lacks / link.bytesPerMs);
  }
  return { bytes, ms: Math.max(bytes / CUT_RATE, sentMs, sent === 0 ? 0 : sent / fastest) + readMs };
}

const bytesOf = (tiles: readonly TileShape[]): number => tiles.reduce((sum, tile) => sum + tileBytes(tile), 0);

/** In words, for people. */
export function moveText({ nowMs, thenMs, bytes, costMs, paysAfterMs, pays }: Move): string {
  const what = `moving ${Math.ceil(bytes / 1e6)} MB would make a token ${milliseconds(thenMs)} instead of ${milliseconds(nowMs)}`;
  const cost = `it takes about ${Math.ceil(costMs / 1000)} s`;
  if (pays) return `${what}; ${cost} and pays within ${Math.ceil(paysAfterMs / 1000)} s: moving`;
  return `${what}; ${cost}, which does not pay: staying`;
}
