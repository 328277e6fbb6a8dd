import { inMemory, mayHave, type Problem, type Roles, type Solution } from './divide-model.ts';
import type { Division } from './shares.ts';

/** Tiles that are looked at in all: each trial goes over those of the model. */
const MOST_TILES = 60_000;

const trialsOf = ({ works }: Problem): number =>
  Math.floor(MOST_TILES / works.reduce((sum, { tiles }) => sum + tiles.length, 0));

/**
 * Divisions in which all tiles of a kind are one device's, as far as memory allows: where to begin when a few devices
 * have no room for shares of everything.
 */
export function byKind(problem: Problem, roles: Roles): Solution[] {
  const { works, devices } = problem;
  const kinds = [...new Set(works.map(({ kind }) => kind))];
  if (devices.length ** kinds.length > trialsOf(problem)) return [];
  const owners = kinds.reduce<number[][]>(
    (all, kind) => {
      const work = works.find((each) => each.kind === kind)!;
      const able = [...devices.keys()].filter((d) => mayHave(roles, work, d));
      return all.flatMap((each) => able.map((d) => [...each, d]));
    },
    [[]],
  );
  return owners.flatMap((owner) => {
    const division = works.map(({ kind, tiles }) => {
      const to = owner[kinds.indexOf(kind)];
      return devices.map((_, d) => (d === to ? tiles.length : 0));
    });
    return inMemory(problem, division).solution ?? [];
  });
}

/** Tiles of some phases that are alike go from one device to another. */
interface Move {
  readonly phases: readonly number[];
  readonly from: number;
  readonly to: number;
  /** Of each of the phases, as far as there are so many. */
  readonly count: number;
}

/**
 * Moves tiles between devices as long as that makes a token faster: dividing phase by phase does not see what a device's
 * memory would be better used for. Two moves are tried together where the first takes memory that the second gives back.
 * @param promptMs that the example prompt may take
 */
export function improve(problem: Problem, roles: Roles, solution: Solution, promptMs: number): Solution {
  const trials = new Trials(problem, solution, promptMs);
  while (trials.left > 0 && (oneMove(trials, problem, roles) || twoMoves(trials, problem, roles)));
  return trials.best;
}

/** @returns whether one made the best division better */
function oneMove(trials: Trials, problem: Problem, roles: Roles): boolean {
  const { division } = trials.best;
  for (const move of moves(problem, roles, division)) {
    if (trials.left <= 0) return false;
    if (trials.improves(moved(division, move))) return true;
  }
  return false;
}

function twoMoves(trials: Trials, problem: Problem, roles: Roles): boolean {
  const { division } = trials.best;
  for (const first of moves(problem, roles, division)) {
    const then = moved(division, first);
    for (const second of moves(problem, roles, then)) {
      if (trials.left <= 0) return false;
      const isAnswer = second.from === first.to || second.to === first.from;
      if (isAnswer && trials.improves(moved(then, second))) return true;
    }
  }
  return false;
}

/** Divisions that are tried, each once, and the best of them. */
class Trials {
  best: Solution;
  left: number;
  readonly #problem: Problem;
  readonly #promptMs: number;
  readonly #tried = new Set<string>();

  constructor(problem: Problem, best: Solution, promptMs: number) {
    this.#problem = problem;
    this.#promptMs = promptMs;
    this.best = best;
    this.left = trialsOf(problem);
  }

  /** Whether a division is better than the best so far, which it then is. */
  improves(division: Division): boolean {
    const key = division.join(';');
    if (this.left <= 0 || this.#tried.has(key)) return false;
    this.#tried.add(key);
    this.left--;
    const tried = inMemory(this.#problem, division).solution;
    if (tried === null || tried.predicted.promptMs > this.#promptMs) return false;
    if (tried.predicted.tokenMs >= this.best.predicted.tokenMs) return false;
    this.best = tried;
    return true;
  }
}

/** All, half or one of a device's tiles, of a phase or of all that are like it. */
function moves({ works, devices }: Problem, roles: Roles, division: Division): Move[] {
  const alike = new Map<number, number[]>();
  for (const [p, { like }] of works.entries()) alike.set(like, [...(alike.get(like) ?? []), p]);
  const groups = [...[...alike.values()].filter(({ length }) => length > 1), ...works.map((_, p) => [p])];
  const found: Move[] = [];
  for (const phases of groups) {
    for (const from of devices.keys()) {
      const all = Math.max(...phases.map((p) => division[p]![from]!));
      if (all === 0) continue;
      for (const to of devices.keys()) {
        if (from === to || !mayHave(roles, works[phases[0]!]!, to)) continue;
        for (const count of new Set([all, Math.ceil(all / 2), 1])) found.push({ phases, from, to, count });
      }
    }
  }
  return found;
}

function moved(division: Division, { phases, from, to, count }: Move): Division {
  const next = [...division];
  for (const p of phases) {
    const counts = [...next[p]!];
    const moving = Math.min(count, counts[from]!);
    counts[from]! -= moving;
    counts[to]! += moving;
    next[p] = counts;
  }
  return next;
}
