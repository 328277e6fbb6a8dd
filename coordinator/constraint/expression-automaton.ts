import { StarlingError } from '../../daemon/errors.ts';
import type { CharacterAutomaton, CharacterEdge } from './character-automaton.ts';
import { type CharacterRange, type Expression, normalRanges } from './expression.ts';

/** What a state or an edge counts. */
const WORK = 10;

/**
 * The automaton of an expression without rules: Thompson's construction, whose empty moves are taken out at the end.
 * @param spend told of the work; may throw
 */
export function expressionAutomaton(expression: Expression, spend: (work: number) => void): CharacterAutomaton {
  const builder = new Builder(spend);
  const [start, end] = [builder.add(), builder.add()];
  builder.build(expression, start, end);
  return builder.automaton(start, end);
}

class Builder {
  readonly #edges: CharacterEdge[][] = [];
  readonly #empty: number[][] = [];
  readonly #spend: (work: number) => void;

  constructor(spend: (work: number) => void) {
    this.#spend = spend;
  }

  add(): number {
    this.#spend(WORK);
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
          this.#edge(at, [[code, code]], next);
          at = next;
        }
        this.#move(at, to);
        return;
      }
      case 'characters':
        this.#edge(from, normalRanges(expression.ranges), to);
        return;
      case 'sequence': {
        let at = from;
        for (const part of expression.parts) {
          const next = this.add();
          this.build(part, at, next);
          at = next;
        }
        this.#move(at, to);
        return;
      }
      case 'choice':
        for (const option of expression.options) this.build(option, from, to);
        return;
      case 'repeat': {
        const { of, min, max } = expression;
        let at = this.add();
        this.#move(from, at);
        const copies = max === Number.POSITIVE_INFINITY ? min : max;
        for (let count = 0; count < copies; count++) {
          if (count >= min) this.#move(at, to);
          const next = this.add();
          this.build(of, at, next);
          at = next;
        }
        if (max === Number.POSITIVE_INFINITY) {
          const loop = this.add();
          this.#move(at, loop);
          this.build(of, loop, loop);
          at = loop;
        }
        this.#move(at, to);
        return;
      }
      case 'rule':
      case 'graph':
        throw new StarlingError('internal', `an automaton of characters cannot hold a ${expression.kind}`);
    }
  }

  #move(from: number, to: number): void {
    this.#spend(1);
    this.#empty[from]!.push(to);
  }

  #edge(from: number, ranges: readonly CharacterRange[], to: number): void {
    this.#spend(WORK * ranges.length);
    this.#edges[from]!.push({ ranges, to });
  }

  automaton(start: number, end: number): CharacterAutomaton {
    const numbers = new Map([[start, 0]]);
    const states = [start];
    const edges: CharacterEdge[][] = [];
    const accepts: boolean[] = [];
    for (const state of states) {
      const closure = new Set([state]);
      for (const at of closure) for (const next of this.#empty[at]!) closure.add(next);
      accepts.push(closure.has(end));
      const own = [...closure].flatMap((at) => this.#edges[at]!);
      this.#spend(closure.size + own.length);
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
