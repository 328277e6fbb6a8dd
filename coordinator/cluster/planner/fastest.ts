import { ModelDivider } from './divide-model.ts';
import { type Evaluator, isSolution, type Solution, type TooSmall } from './evaluator.ts';
import { byKind, improve } from './improve.ts';
import { takenIn } from './left-out.ts';
import { type HeadWish, rolesOf, solve } from './roles.ts';

/** A plan may make the first token wait so many times longer than the one that is quickest with it. */
export const FIRST_TOKEN_FACTOR = 2;
/** Divisions from which a better one is looked for, besides those that are found phase by phase. */
const STARTS = 4;

/**
 * The best of what all devices that help come to, or one alone that holds all of the model, or devices that each have a
 * kind of tiles to themselves; then made better tile by tile.
 * @param able which devices may compute layers
 */
export function fastest(evaluator: Evaluator, able: readonly boolean[], head: HeadWish): Solution | TooSmall {
  const { devices } = evaluator.problem;
  const divider = new ModelDivider(evaluator);
  const sets = [able, ...loners(evaluator, able).map((d) => devices.map((_, i) => i === d))];
  const found = sets.map((set) => solve(divider, devices, set, head, false));
  const roles = rolesOf(devices, able, able, head, false);
  const starts = [...found.filter(isSolution), ...byKind(evaluator, roles)];
  const inOrder = quickestFirst(starts);
  if (inOrder.length === 0) return found.find((each): each is TooSmall => !isSolution(each))!;
  const promptMs = FIRST_TOKEN_FACTOR * Math.min(...starts.map((start) => start.promptMs));
  // Of starts that are far apart, the best one need not lead to the best end.
  const tried = new Set([...found.filter(isSolution), ...inOrder.slice(0, STARTS)]);
  let best = quickestFirst([...tried].map((each) => improve(evaluator, roles, each, promptMs)))[0]!;
  for (const [d, { link }] of devices.entries()) {
    if (link === null || !able[d] || best.division.some((counts) => counts[d]! > 0)) continue;
    const withIt = takenIn(evaluator, best, d);
    if (withIt === null || withIt.tokenMs >= best.tokenMs || withIt.promptMs > promptMs) continue;
    best = improve(evaluator, roles, withIt, promptMs);
  }
  return best;
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

/** Those whose first token does not take much longer than need be, by the time of a token. */
function quickestFirst(solutions: readonly Solution[]): Solution[] {
  const soonest = Math.min(...solutions.map(({ promptMs }) => promptMs));
  return solutions
    .filter(({ promptMs }) => promptMs <= FIRST_TOKEN_FACTOR * soonest)
    .sort((a, b) => a.tokenMs - b.tokenMs);
}
