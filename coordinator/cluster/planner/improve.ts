import { mayHave, type Roles } from './divide-model.ts';
import { type Bound, type Evaluator, isSolution, type Solution, type TooSmall } from './evaluator.ts';
import type { Division } from './shares.ts';

/** Devices among which kinds are divided: those that would take least time for all of the model. */
const OWNERS = 5;
/** Those of them of which two may have a kind by halves. */
const PAIRED = 3;

/**
 * Divisions in which all tiles of a kind are one device's, or two have them by halves, as far as memory allows: where to
 * begin when devices have no room for shares of everything.
 * @param effort of the evaluator, at most
 */
export function byKind(evaluator: Evaluator, roles: Roles, bound: Bound, effort: number): Solution[] {
  const { works, devices } = evaluator.problem;
  if (roles.everyone.head) return [];
  const kinds = [...new Set(works.map(({ kind }) => kind))];
  const alone = devices.map((_, d) =>
    evaluator.token.total(works.map(({ tiles }) => between(devices.length, [d], tiles.length))),
  );
  const quick = [...devices.keys()].sort((a, b) => alone[a]! - alone[b]!);
  const owners = kinds.reduce<(readonly number[])[][]>(
    (all, kind) => {
      const work = works.find((each) => each.kind === kind)!;
      const able = quick.filter((d) => mayHave(roles, work, d)).slice(0, OWNERS);
      const few = able.slice(0, PAIRED);
      const pairs = few.flatMap((a, i) => few.slice(i + 1).map((b) => [a, b]));
      const groups = [...able.map((d) => [d]), ...pairs];
      return all.flatMap((each) => groups.map((group) => [...each, group]));
    },
    [[]],
  );
  const most = evaluator.effort + effort;
  return owners.flatMap((groups) => {
    if (evaluator.effort > most) return [];
    const division = works.map(({ kind, tiles }) =>
      between(devices.length, groups[kinds.indexOf(kind)]!, tiles.length),
    );
    const found = evaluator.evaluate(division, bound);
    return found !== null && isSolution(found) ? [found] : [];
  });
}

/** Tiles of a phase that one device has, or two. */
function between(devices: number, [a, b]: readonly number[], tiles: number): number[] {
  const half = b === undefined ? 0 : Math.floor(tiles / 2);
  return Array.from({ length: devices }, (_, d) => (d === a ? tiles - half : d === b ? half : 0));
}

/** Tiles of some phases that are alike go from one device to another. */
interface Move {
  readonly phases: readonly number[];
  readonly from: number;
  readonly to: number;
  /** Of each of the phases, as far as there are so many beside those that the device keeps. */
  readonly count: number;
  readonly kept: number;
}

/**
 * Moves tiles between devices as long as that makes a token faster: dividing phase by phase does not see what a device's
 * memory would be better used for. Two moves are tried together where the first takes what the second gives back.
 * @param limits milliseconds that the example prompt may take, and effort of the evaluator
 */
export function improve(evaluator: Evaluator, roles: Roles, solution: Solution, limits: SearchLimits): Solution {
  const search = new Search(evaluator, roles, solution, limits);
  while (search.goesOn && (search.oneMove() || search.twoMoves()));
  return search.best;
}

interface SearchLimits {
  readonly promptMs: number;
  readonly effort: number;
}

class Search {
  best: Solution;
  readonly #evaluator: Evaluator;
  readonly #roles: Roles;
  readonly #promptMs: number;
  readonly #mostEffort: number;
  /** Moves that would make a token quicker but for memory or the prompt, and then all others; none where there are none. */
  #firsts: Move[] = [];
  /** Counts of a phase that were met before, so that phases which are divided alike have the same array. */
  readonly #counts = new Map<string, readonly number[]>();

  constructor(evaluator: Evaluator, roles: Roles, best: Solution, { promptMs, effort }: SearchLimits) {
    this.#evaluator = evaluator;
    this.#roles = roles;
    this.#promptMs = promptMs;
    this.#mostEffort = evaluator.effort + effort;
    this.best = best;
  }

  get goesOn(): boolean {
    return this.#evaluator.effort < this.#mostEffort;
  }

  /** Tries each move once. @returns whether some made the division better */
  oneMove(): boolean {
    const { best } = this;
    this.#firsts = [];
    const others: Move[] = [];
    for (const move of this.#moves(best.division)) {
      if (!this.goesOn) break;
      const found = this.#take(this.#moved(this.best.division, move));
      (found !== null && !isSolution(found) ? this.#firsts : others).push(move);
    }
    if (this.#firsts.length > 0) this.#firsts.push(...others);
    return this.best !== best;
  }

  /** Where memory or the prompt stood in the way: tries moves with an answer each, until two make the division better. */
  twoMoves(): boolean {
    const { division } = this.best;
    for (const first of this.#firsts) {
      const then = this.#moved(division, first);
      for (const second of this.#moves(then, first)) {
        if (!this.goesOn) return false;
        const found = this.#take(this.#moved(then, second));
        if (found !== null && isSolution(found)) return true;
      }
    }
    return false;
  }

  #take(division: Division): Solution | TooSmall | null {
    const found = this.#evaluator.evaluate(division, { tokenMs: this.best.tokenMs, promptMs: this.#promptMs });
    if (found !== null && isSolution(found)) this.best = found;
    return found;
  }

  /**
   * All, half or one of a device's tiles, of phases that are alike: of all of them, of those that are divided alike, or
   * of one.
   * @param first a move that they answer: from where it went, or to where it came from
   */
  #moves(division: Division, first?: Move): Move[] {
    const { works, devices } = this.#evaluator.problem;
    const alike = grouped(works.map(({ like }) => `${like}`));
    const divided = grouped(works.map(({ like }, p) => `${like}/${division[p]!.join()}`));
    const ones = divided.flatMap((phases) => (phases.length > 1 ? [[phases[0]!]] : []));
    const whole = alike.filter((phases) => !divided.some(({ length }) => length === phases.length));
    const found: Move[] = [];
    for (const phases of [...whole, ...divided, ...ones]) {
      const work = works[phases[0]!]!;
      for (const from of devices.keys()) {
        const kept = work.kind === 'head' && this.#roles.everyone.head ? 1 : 0;
        const all = phases.reduce((most, p) => Math.max(most, division[p]![from]!), 0) - kept;
        if (all <= 0) continue;
        for (const to of devices.keys()) {
          if (from === to || !mayHave(this.#roles, work, to)) continue;
          if (first !== undefined && from !== first.to && to !== first.from) continue;
          for (const count of new Set([all, Math.ceil(all / 2), 1])) found.push({ phases, from, to, count, kept });
        }
      }
    }
    return found;
  }

  #moved(division: Division, { phases, from, to, count, kept }: Move): Division {
    const next = [...division];
    let before: readonly number[] | undefined;
    let after: readonly number[] = [];
    for (const p of phases) {
      if (division[p] !== before) {
        before = division[p]!;
        const moving = Math.max(0, Math.min(count, before[from]! - kept));
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
