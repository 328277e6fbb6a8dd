import { StarlingError } from '../../daemon/errors.ts';
import {
  type CharacterRange,
  commonCharacters,
  type Expression,
  type ExpressionGraph,
  MAX_CHARACTER,
  normalRanges,
} from './expression.ts';

/** Most states of an automaton that is made of others. */
const MAX_STATES = 20_000;
/** Pairs of ranges that are compared, and the like: about a second. */
const MAX_WORK = 4_000_000;

export interface CharacterEdge {
  readonly ranges: readonly CharacterRange[];
  readonly to: number;
}

/** An automaton over characters, deterministic or not, without empty moves; state 0 is the start. */
export interface CharacterAutomaton {
  readonly edges: readonly (readonly CharacterEdge[])[];
  readonly accepts: readonly boolean[];
}

/** Makes automata of expressions and of each other. All that one of them makes, for one schema, has to be done within bounded work. */
export class Automata {
  #work = 0;

  /** @throws StarlingError invalid_request when there was too much to do, as all methods */
  spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) throw tooLarge();
  }

  /** The automaton of an expression without rules. */
  of(expression: Expression): CharacterAutomaton {
    const builder = new Builder();
    const [start, end] = [builder.add(), builder.add()];
    builder.build(expression, start, end);
    this.spend(builder.states);
    return builder.automaton(start, end, (work) => this.spend(work));
  }

  /** The texts that are in both. */
  intersection(a: CharacterAutomaton, b: CharacterAutomaton): CharacterAutomaton {
    const numbers = new Numbers();
    const edges: CharacterEdge[][] = [];
    const accepts: boolean[] = [];
    const pairs: [number, number][] = [[0, 0]];
    numbers.of('0 0');
    for (const [left, right] of pairs) {
      accepts.push(a.accepts[left]! && b.accepts[right]!);
      const own: CharacterEdge[] = [];
      for (const x of a.edges[left]!) {
        for (const y of b.edges[right]!) {
          this.spend(x.ranges.length * y.ranges.length);
          const ranges = commonCharacters(x.ranges, y.ranges);
          if (ranges.length === 0) continue;
          const to = numbers.of(`${x.to} ${y.to}`);
          if (to === pairs.length) pairs.push([x.to, y.to]);
          own.push({ ranges, to });
        }
      }
      edges.push(own);
    }
    return trimmed({ edges, accepts });
  }

  /** All other texts. */
  complement(automaton: CharacterAutomaton): CharacterAutomaton {
    const numbers = new Numbers();
    const edges: CharacterEdge[][] = [];
    const accepts: boolean[] = [];
    const sets: (readonly number[])[] = [[0]];
    numbers.of('0');
    for (const set of sets) {
      accepts.push(!set.some((state) => automaton.accepts[state]));
      const own = set.flatMap((state) => automaton.edges[state]!);
      const byTarget = new Map<number, CharacterRange[]>();
      const parts = pieces(own);
      this.spend(parts.length * (1 + own.reduce((sum, { ranges }) => sum + ranges.length, 0)));
      for (const [first, last] of parts) {
        const reached = own.filter(({ ranges }) => ranges.some(([from, to]) => from <= first && last <= to));
        const next = [...new Set(reached.map(({ to }) => to))].sort((x, y) => x - y);
        const to = numbers.of(next.join(' '));
        if (to === sets.length) sets.push(next);
        const ranges = byTarget.get(to) ?? [];
        ranges.push([first, last]);
        byTarget.set(to, ranges);
      }
      edges.push([...byTarget].map(([to, ranges]) => ({ ranges: normalRanges(ranges), to })));
    }
    return trimmed({ edges, accepts });
  }
}

export function matches({ edges, accepts }: CharacterAutomaton, text: string): boolean {
  let states = new Set([0]);
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const next = new Set<number>();
    for (const state of states) {
      for (const { ranges, to } of edges[state]!) {
        if (ranges.some(([first, last]) => first <= code && code <= last)) next.add(to);
      }
    }
    states = next;
  }
  return [...states].some((state) => accepts[state]);
}

/** The texts that are in any of them. */
export function union(automata: readonly CharacterAutomaton[]): CharacterAutomaton {
  const edges: CharacterEdge[][] = [[]];
  const accepts = [automata.some((automaton) => automaton.accepts[0])];
  for (const automaton of automata) {
    const shift = edges.length;
    const moved = automaton.edges.map((own) => own.map(({ ranges, to }) => ({ ranges, to: to + shift })));
    edges[0]!.push(...(moved[0] ?? []));
    edges.push(...moved);
    accepts.push(...automaton.accepts);
  }
  return { edges, accepts };
}

export function isEmpty(automaton: CharacterAutomaton): boolean {
  return !trimmed(automaton).accepts.includes(true);
}

/**
 * The automaton as a part of a grammar.
 * @param spell how a character out of ranges is written
 */
export function graphOf(
  { edges, accepts }: CharacterAutomaton,
  spell: (ranges: readonly CharacterRange[]) => Expression,
): ExpressionGraph {
  return {
    accepts,
    edges: edges.flatMap((own, from) => own.map(({ ranges, to }) => ({ from, to, on: spell(ranges) }))),
  };
}

/** The alphabet cut where any of the edges begins or ends. */
function pieces(edges: readonly CharacterEdge[]): CharacterRange[] {
  const starts = new Set([0]);
  for (const { ranges } of edges) {
    for (const [first, last] of ranges) {
      starts.add(first);
      if (last < MAX_CHARACTER) starts.add(last + 1);
    }
  }
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((first, i) => [first, (sorted[i + 1] ?? MAX_CHARACTER + 1) - 1]);
}

/** Without states from which nothing is accepted. */
function trimmed({ edges, accepts }: CharacterAutomaton): CharacterAutomaton {
  const before: number[][] = edges.map(() => []);
  for (const [from, own] of edges.entries()) for (const { to } of own) before[to]!.push(from);
  const useful = new Set(accepts.flatMap((accepted, state) => (accepted ? [state] : [])));
  for (const state of useful) for (const previous of before[state]!) useful.add(previous);
  const kept = [...new Set([0, ...useful])].sort((a, b) => a - b);
  const numbers = new Map(kept.map((state, i) => [state, i]));
  return {
    accepts: kept.map((state) => accepts[state]!),
    edges: kept.map((state) =>
      edges[state]!.flatMap(({ ranges, to }) => {
        const number = useful.has(to) ? numbers.get(to) : undefined;
        return number === undefined ? [] : [{ ranges, to: number }];
      }),
    ),
  };
}

/** Numbers keys in the order in which they come. */
class Numbers {
  readonly #known = new Map<string, number>();

  of(key: string): number {
    let number = this.#known.get(key);
    if (number === undefined) {
      number = this.#known.size;
      if (number >= MAX_STATES) throw tooLarge();
      this.#known.set(key, number);
    }
    return number;
  }
}

/** Thompson's construction, whose empty moves are taken out at the end. */
class Builder {
  readonly #edges: CharacterEdge[][] = [];
  readonly #empty: number[][] = [];

  get states(): number {
    return this.#edges.length;
  }

  add(): number {
    if (this.#edges.length >= 4 * MAX_STATES) throw tooLarge();
    this.#empty.push([]);
    return this.#edges.push([]) - 1;
  }

  build(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case 'text': {
        let at = from;
        for (const character of expression.text) {
          const next = this.add();
          const code = character.codePointAt(0)!;
          this.#edges[at]!.push({ ranges: [[code, code]], to: next });
          at = next;
        }
        this.#empty[at]!.push(to);
        return;
      }
      case 'characters':
        this.#edges[from]!.push({ ranges: normalRanges(expression.ranges), to });
        return;
      case 'sequence': {
        let at = from;
        for (const part of expression.parts) {
          const next = this.add();
          this.build(part, at, next);
          at = next;
        }
        this.#empty[at]!.push(to);
        return;
      }
      case 'choice':
        for (const option of expression.options) this.build(option, from, to);
        return;
      case 'repeat': {
        const { of, min, max } = expression;
        let at = this.add();
        this.#empty[from]!.push(at);
        const copies = max === Number.POSITIVE_INFINITY ? min : max;
        for (let count = 0; count < copies; count++) {
          if (count >= min) this.#empty[at]!.push(to);
          const next = this.add();
          this.build(of, at, next);
          at = next;
        }
        if (max === Number.POSITIVE_INFINITY) {
          const loop = this.add();
          this.#empty[at]!.push(loop);
          this.build(of, loop, loop);
          at = loop;
        }
        this.#empty[at]!.push(to);
        return;
      }
      case 'rule':
      case 'graph':
        throw new StarlingError('internal', `an automaton of characters cannot hold a ${expression.kind}`);
    }
  }

  automaton(start: number, end: number, spend: (work: number) => void): CharacterAutomaton {
    const numbers = new Map([[start, 0]]);
    const states = [start];
    const edges: CharacterEdge[][] = [];
    const accepts: boolean[] = [];
    for (const state of states) {
      const closure = new Set([state]);
      for (const at of closure) for (const next of this.#empty[at]!) closure.add(next);
      accepts.push(closure.has(end));
      const own = [...closure].flatMap((at) => this.#edges[at]!);
      spend(closure.size + own.length);
      if (states.length > MAX_STATES) throw tooLarge();
      edges.push(
        own.map(({ ranges, to }) => {
          let number = numbers.get(to);
          if (number === undefined) {
            number = numbers.size;
            numbers.set(to, number);
            states.push(to);
          }
          return { ranges, to: number };
        }),
      );
    }
    return { edges, accepts };
  }
}

function tooLarge(): StarlingError {
  return new StarlingError(
    'invalid_request',
    'a pattern, or the patterns, lengths and names that hold together, is too large to be checked; make it simpler',
  );
}
