import { ModelDivider, type Roles } from './divide-model.ts';
import { type Bound, type Evaluator, isSolution, type Solution, type TooSmall } from './evaluator.ts';
import { byKind, improve } from './improve.ts';
import { type HeadWish, rolesOf, solve } from './roles.ts';

/** A plan may make the first token wait so many times longer than the one that is quickest with it. */
export const FIRST_TOKEN_FACTOR = 2;
/** What may be looked at to find such divisions, and again until all of them are at their ends: see Evaluator.effort. */
const EFFORT = 3e5;
/** See boundOf. */
const WORTH = 2;
/** Divisions from which a better one is looked for. */
const STARTS = 9;

/**
 * The best of what all devices that help come to, or one alone that holds all of the model, or devices that each have a
 * kind of tiles to themselves; then made better tile by tile, and once more among those that have a part then.
 * @param able which devices may compute layers
 */
export function fastest(evaluator: Evaluator, able: readonly boolean[], head: HeadWish): Solution | TooSmall {
  const { devices } = evaluator.problem;
  const divider = new ModelDivider(evaluator);
  const alone = head === 'shared' ? [] : loners(evaluator, able);
  const sets = [able, ...alone.map((d) => devices.map((_, i) => i === d))];
  const found = sets.map((set) => solve(divider, devices, set, head, false));
  const roles = rolesOf(devices, able, able, head, false);
  const phaseByPhase = found.filter(isSolution);
  const bound = boundOf(phaseByPhase);
  const starts = [...phaseByPhase, ...byKind(evaluator, roles, bound, EFFORT)];
  if (starts.length === 0) return found.find((each): each is TooSmall => !isSolution(each))!;
  const promptMs = FIRST_TOKEN_FACTOR * Math.min(...starts.map((start) => start.promptMs));
  const best = bestEnd(evaluator, roles, starts, promptMs);
  const used = devices.map((_, d) => best.division.some((counts) => counts[d]! > 0));
  const fewer = rolesOf(devices, and(able, used), and(able, used), head, false);
  const again = solve(divider, devices, and(able, used), head, false);
  return bestEnd(
    evaluator,
    fewer,
    [best, ...byKind(evaluator, fewer, boundOf([best]), EFFORT), ...(isSolution(again) ? [again] : [])],
    promptMs,
  );
}

/** A start that takes much longer than another one is not worth the search. */
const boundOf = (solutions: readonly Solution[]): Bound => ({
  tokenMs: WORTH * Math.min(...solutions.map(({ tokenMs }) => tokenMs)),
  promptMs: Number.POSITIVE_INFINITY,
});

const and = (a: readonly boolean[], b: readonly boolean[]): boolean[] => a.map((each, d) => each && b[d]!);

/** Where the quickest of some divisions lead: of those that are far apart, the best one need not lead to the best end. */
function bestEnd(evaluator: Evaluator, roles: Roles, starts: readonly Solution[], promptMs: number): Solution {
  const inTime = starts.filter((start) => start.promptMs <= promptMs).sort((a, b) => a.tokenMs - b.tokenMs);
  const tried = inTime.slice(0, STARTS);
  const ends = tried.map((start) => improve(evaluator, roles, start, { promptMs, effort: EFFORT / tried.length }));
  return ends.reduce((best, end) => (end.tokenMs < best.tokenMs ? end : best));
}

/** Devices that may hold all of the model: the serving one, and the quickest of the others. */
function loners({ problem, modelBytes }: Evaluator, able: readonly boolean[]): number[] {
  const { devices } = problem;
  const holds = devices.flatMap(({ profile }, d) => (able[d] && profile.memory.budget > modelBytes ? [d] : []));
  const rate = (d: number): number =>
    Math.max(...Object.values(devices[d]!.profile.formats).map((rates) => rates?.all ?? 0));
  const quick = holds.filter((d) => devices[d]!.link !== null).sort((a, b) => rate(b) - rate(a))[0];
  return holds.filter((d) => devices[d]!.link === null || d === quick);
}
