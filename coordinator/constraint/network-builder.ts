import { edgeTable } from './edge-table.ts';
import type { CharacterRange, Expression, ExpressionGraph, Grammar } from './expression.ts';
import type { NetworkTables } from './network.ts';
import { invalidNetwork, type NetworkEdges, reachingEnd, refuseLeftRecursion } from './network-check.ts';
import { AFTER, BEFORE, type ByteGraph, byteGraph } from './utf8-ranges.ts';

/** Most states and edges of a network: some 20 bytes each. */
const MAX_STATES = 200_000;
const MAX_EDGES = 1_000_000;

interface RuleStates {
  readonly start: number;
  readonly end: number;
}

/**
 * A grammar's network, without edges that lead nowhere.
 * @throws StarlingError invalid_request when it is too large, calls a rule that it has not, is left-recursive or
 * matches nothing
 */
export function networkTables(grammar: Grammar): NetworkTables {
  const { edges, start, names } = new NetworkBuilder(grammar).built();
  const { states, ends } = edges;
  const useful = reachingEnd(edges, false);
  if (useful[start] === 0) throw invalidNetwork('no text satisfies it');
  refuseLeftRecursion(edges, names);
  return {
    start,
    bytes: edgeTable(states, leading(edges.bytes, 4, [3], useful), 4),
    empty: edgeTable(states, leading(edges.empty, 2, [1], useful), 2),
    calls: edgeTable(states, leading(edges.calls, 3, [1, 2], useful), 3),
    ends,
  };
}

/** The rows that have useful states in these columns. */
function leading(edges: readonly number[], width: number, columns: readonly number[], useful: Uint8Array): number[] {
  const kept: number[] = [];
  for (let row = 0; row < edges.length; row += width) {
    if (columns.every((column) => useful[edges[row + column]!] === 1)) {
      for (let i = 0; i < width; i++) kept.push(edges[row + i]!);
    }
  }
  return kept;
}

class NetworkBuilder {
  readonly #start: number;
  readonly #rules = new Map<string, RuleStates>();
  #states = 0;
  #edges = 0;
  /** As NetworkEdges has them. */
  readonly #bytes: number[] = [];
  readonly #empty: number[] = [];
  readonly #calls: number[] = [];
  /** Of the same characters again and again, as in counts. */
  readonly #encoded = new Map<readonly CharacterRange[], ByteGraph>();

  constructor({ rules, root }: Grammar) {
    for (const name of rules.keys()) this.#rules.set(name, { start: this.#add(), end: this.#add() });
    for (const [name, expression] of rules) {
      const { start, end } = this.#rule(name);
      this.#build(expression, start, end);
    }
    this.#start = this.#rule(root).start;
  }

  built(): { readonly edges: NetworkEdges; readonly start: number; readonly names: ReadonlyMap<number, string> } {
    const ends = new Uint8Array(this.#states);
    const names = new Map<number, string>();
    for (const [name, { start, end }] of this.#rules) {
      names.set(start, name);
      ends[end] = 1;
    }
    const edges = { states: this.#states, bytes: this.#bytes, empty: this.#empty, calls: this.#calls, ends };
    return { edges, start: this.#start, names };
  }

  #add(): number {
    if (this.#states >= MAX_STATES) throw tooLarge(`${MAX_STATES} states`);
    return this.#states++;
  }

  #byte(from: number, low: number, high: number, to: number): void {
    this.#countEdge();
    this.#bytes.push(from, low, high, to);
  }

  #move(from: number, to: number): void {
    this.#countEdge();
    this.#empty.push(from, to);
  }

  #countEdge(): void {
    if (++this.#edges > MAX_EDGES) throw tooLarge(`${MAX_EDGES} edges`);
  }

  #rule(name: string): RuleStates {
    const states = this.#rules.get(name);
    if (states === undefined) throw invalidNetwork(`there is no rule ${JSON.stringify(name)}`);
    return states;
  }

  #build(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case 'text':
        this.#text(expression.text, from, to);
        return;
      case 'characters':
        this.#characters(expression.ranges, from, to);
        return;
      case 'sequence':
        this.#sequence(expression.parts, from, to);
        return;
      case 'choice':
        for (const option of expression.options) this.#build(option, from, to);
        return;
      case 'repeat':
        this.#repeat(expression, from, to);
        return;
      case 'rule':
        this.#countEdge();
        this.#calls.push(from, this.#rule(expression.name).start, to);
        return;
      case 'graph':
        this.#graph(expression.graph, from, to);
    }
  }

  #graph({ accepts, edges }: ExpressionGraph, from: number, to: number): void {
    const nodes = accepts.map(() => this.#add());
    this.#move(from, nodes[0]!);
    for (const [node, isEnd] of accepts.entries()) if (isEnd) this.#move(nodes[node]!, to);
    for (const edge of edges) this.#build(edge.on, nodes[edge.from]!, nodes[edge.to]!);
  }

  #text(value: string, from: number, to: number): void {
    let at = from;
    for (const byte of Buffer.from(value, 'utf8')) {
      const next = this.#add();
      this.#byte(at, byte, byte, next);
      at = next;
    }
    this.#move(at, to);
  }

  #characters(ranges: readonly CharacterRange[], from: number, to: number): void {
    let graph = this.#encoded.get(ranges);
    if (graph === undefined) {
      graph = byteGraph(ranges);
      this.#encoded.set(ranges, graph);
    }
    const { inner, edges } = graph;
    const nodes = Array.from({ length: inner }, () => this.#add());
    for (let i = 0; i < edges.length; i += 4) {
      const [before, after] = [edges[i]!, edges[i + 3]!];
      const start = before === BEFORE ? from : nodes[before]!;
      this.#byte(start, edges[i + 1]!, edges[i + 2]!, after === AFTER ? to : nodes[after]!);
    }
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    if (parts.length === 0) this.#move(from, to);
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#add();
      this.#build(part, at, next);
      at = next;
    }
  }

  #repeat({ of, min, max }: Extract<Expression, { kind: 'repeat' }>, from: number, to: number): void {
    let at = this.#add();
    this.#move(from, at);
    const bounded = max === Number.POSITIVE_INFINITY ? min : max;
    for (let count = 0; count < bounded; count++) {
      if (count >= min) this.#move(at, to);
      const next = this.#add();
      this.#build(of, at, next);
      at = next;
    }
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#add();
      this.#move(at, loop);
      this.#build(of, loop, loop);
      at = loop;
    }
    this.#move(at, to);
  }
}

function tooLarge(limit: string): Error {
  return invalidNetwork(`it is too large, with more than ${limit}; repeat less often, or smaller parts`);
}
