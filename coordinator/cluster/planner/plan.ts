import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { type TileShape, tileBytes } from '../../../daemon/tile/tile.ts';
import { inMemory, isSolution, type Problem, type Solution, type TooSmall } from './divide-model.ts';
import { byKind, improve } from './improve.ts';
import { phaseWorks } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { Load, Prediction } from './predict.ts';
import { type HeadWish, rolesOf, solve } from './roles.ts';
import type { Division } from './shares.ts';

export interface PlanWishes extends Load {
  readonly head: HeadWish;
  /** Those that make a token fastest, or all of them, however slow that is. */
  readonly use: 'fastest' | 'all';
  /** Conversations of full length that the caches hold, where memory allows. */
  readonly conversations?: number;
}

/** A device that computes nothing, and why. */
export interface LeftOut {
  readonly id: string;
  readonly name: string;
  /** `memory`: no share would fit. `busy`: another coordinator has its memory. */
  readonly reason: 'slower' | 'memory' | 'busy';
  /** Milliseconds of a token if it had a share; null where it cannot have one. */
  readonly tokenMs: number | null;
  /** In words, for people. */
  readonly why: string;
}

/** Which tiles each device computes, by its id, and what that is expected to take. */
export interface Plan {
  readonly shares: ReadonlyMap<string, readonly TileShape[]>;
  readonly kvPages: number;
  readonly head: 'local' | 'shared';
  readonly predicted: Prediction;
  readonly leftOut: readonly LeftOut[];
  /** The devices that were planned for, in their order, and how many tiles of each phase each has. */
  readonly devices: readonly string[];
  readonly division: Division;
}

/** A plan may make the first token wait so many times longer than the one that is quickest with it. */
export const FIRST_TOKEN_FACTOR = 2;
/** Divisions from which a better one is looked for, besides those that are found phase by phase. */
const STARTS = 4;
/** A running plan is kept unless another one takes less than this part of its time. */
const KEPT = 0.97;

/**
 * Divides a model over devices so that a token takes least time: which of them are used at all, how much of each phase
 * each computes, and whether the head is shared.
 * @param tiles of the model, in the order in which they are computed
 * @param devices the serving one first, each once, and in the same order whenever they are planned for again
 * @param previous a plan of the same model that runs: kept where no other is clearly better, and its KV pages in any case
 * @throws StarlingError memory_too_small where no set of the devices can hold the model
 */
export function plan(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
  previous?: Plan,
): Plan {
  const problem = problemOf(tiles, engine, devices, wishes, previous);
  const all = devices.map(({ computesLayers }) => computesLayers);
  // A device that is alone computes the layers, whoever else may have its memory.
  const able = all.includes(true) ? all : devices.map(({ link }) => link === null);
  const found = wishes.use === 'all' ? solve(problem, able, wishes.head, true) : fastest(problem, able, wishes.head);
  const running = previous === undefined ? null : again(problem, previous);
  if (!isSolution(found) && running === null) throw noRoom(problem, found);
  const best = isSolution(found) ? found : running!;
  const isKept = running !== null && best.predicted.tokenMs > KEPT * running.predicted.tokenMs;
  if (wishes.use === 'all') return toPlan(problem, isKept ? running : best, []);
  const { solution, leftOut } = withoutTheRest(problem, able, wishes.head, isKept ? running : best);
  return toPlan(problem, solution, leftOut);
}

/**
 * What a plan that runs would take on devices as they are now.
 * @returns null where one that it uses is not among them, or has no room any more
 */
export function predictAgain(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
  running: Plan,
): Prediction | null {
  return again(problemOf(tiles, engine, devices, wishes, running), running)?.predicted ?? null;
}

function problemOf(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
  previous: Plan | undefined,
): Problem {
  const { conversations } = wishes;
  return {
    ...{ works: phaseWorks(tiles, engine), engine, devices, load: wishes },
    ...(conversations === undefined ? {} : { conversations }),
    ...(previous === undefined ? {} : { kvPages: previous.kvPages }),
  };
}

/**
 * The best of what all devices that help come to, or one alone that holds all of the model, or devices that each have a
 * kind of tiles to themselves; then made better tile by tile.
 */
function fastest(problem: Problem, able: readonly boolean[], head: HeadWish): Solution | TooSmall {
  const { devices } = problem;
  const weights = tilesBytes(problem);
  const holds = devices.flatMap(({ profile }, d) => (able[d] && profile.memory.budget > weights ? [d] : []));
  const rate = (d: number): number =>
    Math.max(...Object.values(devices[d]!.profile.formats).map((rates) => rates?.all ?? 0));
  const quick = holds.filter((d) => devices[d]!.link !== null).sort((a, b) => rate(b) - rate(a))[0];
  const alone = holds.filter((d) => devices[d]!.link === null || d === quick);
  const sets = [able, ...alone.map((d) => devices.map((_, i) => i === d))];
  const found = sets.map((set) => solve(problem, set, head, false));
  const roles = rolesOf(problem, able, able, head, false);
  const starts = [...found.filter(isSolution), ...byKind(problem, roles)];
  const inOrder = quickestFirst(starts);
  if (inOrder.length === 0) return found.find((each): each is TooSmall => !isSolution(each))!;
  const promptMs = FIRST_TOKEN_FACTOR * Math.min(...starts.map(({ predicted }) => predicted.promptMs));
  // Of starts that are far apart, the best one need not lead to the best end.
  const tried = new Set([...found.filter(isSolution), ...inOrder.slice(0, STARTS)]);
  return quickest([...tried].map((each) => improve(problem, roles, each, promptMs)))!;
}

const tilesBytes = ({ works }: Problem): number =>
  works.reduce(
    (sum, { tiles, kv }) => [...tiles, ...(kv?.tiles ?? [])].reduce((bytes, tile) => bytes + tileBytes(tile), sum),
    0,
  );

/** Those whose first token does not take much longer than need be, by the time of a token. */
function quickestFirst(solutions: readonly Solution[]): Solution[] {
  const soonest = Math.min(...solutions.map(({ predicted }) => predicted.promptMs));
  return solutions
    .filter(({ predicted }) => predicted.promptMs <= FIRST_TOKEN_FACTOR * soonest)
    .sort((a, b) => a.predicted.tokenMs - b.predicted.tokenMs);
}

const quickest = (solutions: readonly Solution[]): Solution | null => quickestFirst(solutions)[0] ?? null;

/** What a plan that was made before would take now; null where it is for devices that are not there, or have no room. */
function again(problem: Problem, { devices, division }: Plan): Solution | null {
  const places = problem.devices.map(({ id }) => devices.indexOf(id));
  const isGone = devices.some((_, d) => !places.includes(d) && division.some((counts) => counts[d]! > 0));
  if (isGone) return null;
  const now = division.map((counts) => places.map((d) => (d < 0 ? 0 : counts[d]!)));
  return inMemory(problem, now).solution;
}

/** Why each other device has no share. One whose help was underestimated is taken in after all. */
function withoutTheRest(
  problem: Problem,
  able: readonly boolean[],
  head: HeadWish,
  chosen: Solution,
): { solution: Solution; leftOut: LeftOut[] } {
  const { devices } = problem;
  const has = devices.map((_, d) => chosen.shares[d]!.length > 0);
  const leftOut: LeftOut[] = [];
  for (const [d, device] of devices.entries()) {
    if (has[d] || device.link === null) continue;
    const { id, name, computesLayers } = device;
    const told = (reason: LeftOut['reason'], tokenMs: number | null, why: string): LeftOut => ({
      ...{ id, name, reason, tokenMs },
      why: `${name} is left out: ${why}`,
    });
    if (!computesLayers) {
      leftOut.push(told('busy', null, 'another "starling serve" uses it'));
      continue;
    }
    const layers = devices.map((_, i) => able[i]! && (i === d || has[i]!));
    const withIt = solve(problem, layers, head, true);
    if (!isSolution(withIt) || withIt.shares[d]!.length === 0) {
      const budget = Math.floor(device.profile.memory.budget / 1e6);
      leftOut.push(told('memory', null, `its ${budget} MB of memory are too little for any share of the model`));
      continue;
    }
    const better = quickest([chosen, withIt]);
    if (better === withIt) return withoutTheRest(problem, able, head, withIt);
    const [now, then] = [chosen, withIt].map(({ predicted }) => milliseconds(predicted.tokenMs));
    leftOut.push(told('slower', withIt.predicted.tokenMs, `with it a token would take ${then} instead of ${now}`));
  }
  return { solution: chosen, leftOut };
}

function toPlan({ devices }: Problem, solution: Solution, leftOut: readonly LeftOut[]): Plan {
  const { shares, division, kvPages, predicted } = solution;
  const isShared = devices.some(({ link }, d) => link !== null && division.at(-1)![d]! > 0);
  return {
    shares: new Map(devices.map(({ id }, d) => [id, shares[d]!])),
    head: isShared ? 'shared' : 'local',
    devices: devices.map(({ id }) => id),
    ...{ kvPages, predicted, leftOut, division },
  };
}

function noRoom({ devices }: Problem, { tooSmall, error }: TooSmall): StarlingError {
  const name = tooSmall === null ? '' : `${devices[tooSmall]!.name}: `;
  return new StarlingError('memory_too_small', `${name}${error?.message ?? 'there is no device that may compute it'}`);
}

/** For people: two digits of what matters. */
export function milliseconds(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(2)} ms`;
}
