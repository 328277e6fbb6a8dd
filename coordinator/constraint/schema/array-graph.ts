import type { Automata } from '../automata.ts';
import { type Expression, type ExpressionGraph, type GraphEdge, sequence, text } from '../expression.ts';
import { COMMA } from '../json-grammar.ts';
import { type Alternative, elementNodes } from './alternatives.ts';
import { unsupported } from './schema-errors.ts';
import type { SchemaNode } from './schema-node.ts';

/** Schemas of which an array has to contain so many: each doubles the kinds of elements. */
const MAX_CONTAINS = 3;
/** What a node counts, in the terms of Automata. */
const WORK_OF_NODE = 100;

/**
 * The elements of an array. A node counts them, up to where all are alike, and those that are taken for what the array
 * has to contain. An element that is need not be taken for it, so nothing has to be known of what is not contained.
 * @param value what satisfies all of some schemas
 * @throws StarlingError unsupported_parameter
 */
export function arrayGraph(
  { parts, min, max }: Extract<Alternative, { kind: 'array' }>,
  value: (nodes: readonly SchemaNode[]) => Expression,
  automata: Automata,
): ExpressionGraph {
  const contains = parts.flatMap((part) => part.contains);
  if (contains.length > MAX_CONTAINS) {
    throw unsupported(contains[0]!.node.pointer, 'contains', `for one array more than ${MAX_CONTAINS} times`);
  }
  const prefix = Math.max(0, ...parts.map((part) => part.prefix.length));
  const isEndless = max === Number.POSITIVE_INFINITY;
  // From this element on, all are alike.
  const last = isEndless ? Math.max(prefix, min, 1) : max;
  const edges: GraphEdge[] = [];
  const accepts: boolean[] = [];
  const nodes = new Map<string, number>();
  const queue: { readonly index: number; readonly missing: readonly number[] }[] = [];
  const node = (index: number, missing: readonly number[]): number => {
    const key = `${index} ${missing.join(' ')}`;
    let number = nodes.get(key);
    if (number === undefined) {
      number = nodes.size;
      automata.spend(WORK_OF_NODE);
      nodes.set(key, number);
      queue.push({ index, missing });
    }
    return number;
  };
  node(
    0,
    contains.map((each) => each.min),
  );
  for (const { index, missing } of queue) {
    const from = node(index, missing);
    accepts.push(index >= min && missing.every((count) => count === 0));
    if (index === last && !isEndless) continue;
    for (let set = 0; set < 2 ** contains.length; set++) {
      const taken = contains.filter((_, i) => (set >> i) & 1);
      if (taken.some((each) => missing[contains.indexOf(each)] === 0)) continue;
      const element = value([...elementNodes(parts, index), ...taken.map((each) => each.node)]);
      const left = missing.map((count, i) => count - ((set >> i) & 1));
      const on = index === 0 ? element : sequence(text(COMMA), element);
      edges.push({ from, to: node(Math.min(index + 1, last), left), on });
    }
  }
  return { edges, accepts };
}
