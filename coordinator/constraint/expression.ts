/** Unicode code points from the first to the last, both included. */
export type CharacterRange = readonly [first: number, last: number];

/** Nodes joined by edges, each of which takes what its expression takes. */
export interface ExpressionGraph {
  readonly edges: readonly GraphEdge[];
  /** Node 0 is the start; whether the text may end at each of them. */
  readonly accepts: readonly boolean[];
}

export interface GraphEdge {
  readonly from: number;
  readonly to: number;
  readonly on: Expression;
}

/** A part of a grammar. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** One character out of ranges; none where there are no ranges. */
  | { readonly kind: 'characters'; readonly ranges: readonly CharacterRange[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly of: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'graph'; readonly graph: ExpressionGraph };

/** A context-free grammar over Unicode text. */
export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly root: string;
}

export const MAX_CHARACTER = 0x10ffff;

export const text = (value: string): Expression => ({ kind: 'text', text: value });
export const characters = (...ranges: CharacterRange[]): Expression => ({ kind: 'characters', ranges });
export const sequence = (...parts: Expression[]): Expression => ({ kind: 'sequence', parts });
export const choice = (...options: Expression[]): Expression => ({ kind: 'choice', options });
export const rule = (name: string): Expression => ({ kind: 'rule', name });
export const repeat = (of: Expression, min: number, max: number): Expression => ({ kind: 'repeat', of, min, max });
export const optional = (of: Expression): Expression => repeat(of, 0, 1);

/** One of some texts. Those that begin alike are one up to where they differ. */
export function anyOf(texts: Iterable<string>): Expression {
  const children: Map<string, number>[] = [new Map()];
  const accepts = [false];
  const edges: GraphEdge[] = [];
  for (const value of texts) {
    let node = 0;
    for (const character of value) {
      let next = children[node]!.get(character);
      if (next === undefined) {
        next = children.push(new Map()) - 1;
        accepts.push(false);
        children[node]!.set(character, next);
        edges.push({ from: node, to: next, on: text(character) });
      }
      node = next;
    }
    accepts[node] = true;
  }
  return { kind: 'graph', graph: { edges, accepts } };
}

/** Ranges in order, without overlaps. */
export function normalRanges(ranges: readonly CharacterRange[]): CharacterRange[] {
  const sorted = ranges.filter(([first, last]) => first <= last).sort(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** All characters that are in none of the ranges. */
export function otherCharacters(ranges: readonly CharacterRange[]): CharacterRange[] {
  const others: CharacterRange[] = [];
  let next = 0;
  for (const [first, last] of normalRanges(ranges)) {
    if (first > next) others.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= MAX_CHARACTER) others.push([next, MAX_CHARACTER]);
  return others;
}

/** What two lists of ranges have in common. */
export function commonCharacters(a: readonly CharacterRange[], b: readonly CharacterRange[]): CharacterRange[] {
  return normalRanges(
    a.flatMap(([first, last]) => b.map(([from, to]): CharacterRange => [Math.max(first, from), Math.min(last, to)])),
  );
}
