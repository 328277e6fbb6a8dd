import type { CharacterRange, Expression, ExpressionGraph } from './expression.ts';

export interface CharacterEdge {
  readonly ranges: readonly CharacterRange[];
  readonly to: number;
}

/** An automaton over characters, deterministic or not, without empty moves; state 0 is the start. */
export interface CharacterAutomaton {
  readonly edges: readonly (readonly CharacterEdge[])[];
  readonly accepts: readonly boolean[];
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

/** Without states from which nothing is accepted. */
export function trimmed({ edges, accepts }: CharacterAutomaton): CharacterAutomaton {
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
