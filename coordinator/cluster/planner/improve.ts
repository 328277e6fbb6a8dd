import { mayHave, type Roles } from './divide-model.ts';
import { type Evaluator, isSolution, type Solution } from './evaluator.ts';
import type { Division } from './shares.ts';

/** What may be looked at for one solution to become better: see Evaluator.effort. */
const MOST_EFFORT = 1e6;
/** Divisions by kind that are tried at most. */
const MOST_BY_KIND = 100;

/**
 * Divisions in which all tiles of a kind are one device's, as far as memory allows: where to begin when a few devices
 * have no room for shares of everything.
 */
export function byKind(evaluator: Evaluator, roles: Roles): Solution[] {
  const { works, devices } = evaluator.problem;
  const kinds = [...new Set(works.map(({ kind }) => kind))];
  if (devices.length ** kinds.length > MOST_BY_KIND) return [];
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
    const found = evaluator.evaluate(division)!;
    return isSolution(found) ? [found] : [];
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
export function improve(evaluator: Evaluator, roles: Roles, solution: Solution, promptMs: number): Solution {
  const search = new Search(evaluator, roles, solution, promptMs);
  while (search.goesOn && (search.oneMove() || (search.lacksMemory && search.twoMoves())));
  return search.best;
}

class Search {
  best: Solution;
  /** Whether a division that would be better has not been taken since there is not the memory. */
  lacksMemory = false;
  readonly #evaluator: Evaluator;
  readonly #roles: Roles;
  readonly #promptMs: number;
  readonly #mostEffort: number;
  /** Counts of a phase that were met before, so that phases which are divided alike have the same array. */
  readonly #counts = new Map<string, readonly number[]>();

  constructor(evaluator: Evaluator, roles: Roles, best: Solution, promptMs: number) {
    this.#evaluator = evaluator;
    this.#roles = roles;
    this.#promptMs = promptMs;
    this.#mostEffort = evaluator.effort + MOST_EFFORT;
    this.best = best;
  }

  get goesOn(): boolean {
    return this.#evaluator.effort < this.#mostEffort;
  }

  /** Tries each move once. @returns whether some made the division better */
  oneMove(): boolean {
    const { best } = this;
    for (const move of this.#moves(best.division)) {
      if (!this.goesOn) break;
      this.#take(this.#moved(this.best.division, move));
    }
    return this.best !== best;
  }

  /** Tries moves with an answer each, until two make the division better. */
  twoMoves(): boolean {
    const { division } = this.best;
    for (const first of this.#moves(division)) {
      const then = this.#moved(division, first);
      for (const second of this.#moves(then)) {
        if (!this.goesOn) return false;
        const isAnswer = second.from === first.to || second.to === first.from;
        if (isAnswer && this.#take(this.#moved(then, second))) return true;
      }
    }
    return false;
  }

  #take(division: Division): boolean {
    const found = this.#evaluator.evaluate(division, { tokenMs: this.best.tokenMs, promptMs: this.#promptMs });
    if (found === null) return false;
    if (isSolution(found)) this.best = found;
    else this.lacksMemory = true;
    return isSolution(found);
  }

  /** All, half or one of a device's tiles, of phases that are alike: of all of them, of those that are divided alike, or of one. */
  #moves(division: Division): Move[] {
    const { works, devices } = this.#evaluator.problem;
    const alike = grouped(works.map(({ like }) => `${like}`));
    const divided = grouped(works.map(({ like }, p) => `${like}/${division[p]!.join()}`));
    const ones = divided.flatMap((phases) => (phases.length > 1 ? [[phases[0]!]] : []));
    const whole = alike.filter((phases) => !divided.some(({ length }) => length === phases.length));
    const found: Move[] = [];
    for (const phases of [...whole, ...divided, ...ones]) {
      const work = works[phases[0]!]!;
      for (const from of devices.keys()) {
        const all = phases.reduce((most, p) => Math.max(most, division[p]![from]!), 0);
        if (all === 0) continue;
        for (const to of devices.keys()) {
          if (from === to || !mayHave(this.#roles, work, to)) continue;
          for (const count of new Set([all, Math.ceil(all / 2), 1])) found.push({ phases, from, to, count });
        }
      }
    }
    return found;
  }

  #moved(division: Division, { phases, from, to, count }: Move): Division {
    const next = [...division];
    let before: readonly number[] | undefined;
    let after: readonly number[] = [];
    for (const p of phases) {
      if (division[p] !== before) {
        before = division[p]!;
        const moving = Math.min(count, before[from]!);
        const counts = before.map((each, d) => (d === from ? each - moving : d === to ? each + moving : each));
        after = this.#known(counts);
      }
      next[p] = after;
    }
    return next;
  }

  #known(counts: readonly number[]): readonly number[] {
    const key = counts.join();
    const known = this.#counts.get(key) ?? counts;
    this.#counts.set(key, known);
    return known;
  }
}

/** Places with the same key. */
function grouped(keys: readonly string[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [place, key] of keys.entries()) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [place]);
    else group.push(place);
  }
  return [...groups.values()];
}
