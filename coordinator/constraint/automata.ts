import { StarlingError } from '../../daemon/errors.ts';
import { type CharacterAutomaton, type CharacterEdge, trimmed } from './character-automaton.ts';
import { type CharacterRange, commonCharacters, type Expression, MAX_CHARACTER, normalRanges } from './expression.ts';
import { expressionAutomaton } from './expression-automaton.ts';

/** Most states of an automaton that is made of others. */
const MAX_STATES = 20_000;
/** Pairs of ranges that are compared, and the like: about a second. */
const MAX_WORK = 4_000_000;

/**
 * Makes automata of expressions and of each other. All that one of them makes, for one schema, has to be done within
 * bounded work.
 */
export class Automata {
  #work = 0;
  readonly #kept = new Map<string, CharacterAutomaton>();

  /** @throws StarlingError invalid_request when there was too much to do, as all methods */
  spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) throw tooLarge();
  }

  /** The automaton of an expression without rules. */
  of(expression: Expression): CharacterAutomaton {
    return expressionAutomaton(expression, (work) => this.spend(work));
  }

  /** As `of`, once for each key. */
  once(key: string, read: () => Expression): CharacterAutomaton {
    let automaton = this.#kept.get(key);
    if (automaton === undefined) {
      automaton = this.of(read());
      this.#kept.set(key, automaton);
    }
    return automaton;
  }

  /** Whether a text is one of the automaton's. */
  matches({ edges, accepts }: CharacterAutomaton, text: string): boolean {
    let states = new Set([0]);
    for (const character of text) {
      const code = character.codePointAt(0)!;
      const next = new Set<number>();
      for (const state of states) {
        this.spend(1 + edges[state]!.length);
        for (const { ranges, to } of edges[state]!) {
          if (ranges.some(([first, last]) => first <= code && code <= last)) next.add(to);
        }
      }
      states = next;
    }
    return [...states].some((state) => accepts[state]);
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

function tooLarge(): StarlingError {
  return new StarlingError(
    'invalid_request',
    'a pattern, or the patterns, lengths and names that hold together, is too large to be checked; make it simpler',
  );
}
