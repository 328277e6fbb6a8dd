import { StarlingError } from '../../daemon/errors.ts';
import type { CharacterRange, Expression, Grammar } from './expression.ts';
import { normalRanges } from './expression.ts';
import { type ByteSequence, utf8Sequences } from './utf8-ranges.ts';

/** Most states of a network: about 100 bytes each, and as many are looked at before a request is let in. */
const MAX_STATES = 200_000;

/** What can be done in a state, without reading a byte first. */
export interface Moves {
  /** Flat: the lowest byte, the highest, the state after it. */
  readonly bytes: readonly number[];
  /** Flat: a rule's first state, the state to return to. */
  readonly calls: readonly number[];
  readonly ends: boolean;
}

interface RuleStates {
  readonly start: number;
  readonly end: number;
}

/**
 * A grammar as a recursive transition network (Woods 1970): each rule an automaton over bytes, in which a move may also be a call
 * of another rule.
 */
export class Network {
  readonly start: number;
  readonly #rules = new Map<string, RuleStates>();
  /** By the rules' first states. */
  readonly #names = new Map<number, string>();
  readonly #bytes: number[][] = [];
  readonly #empty: number[][] = [];
  /** Of the same characters again and again, as in counts. */
  readonly #encoded = new Map<readonly CharacterRange[], readonly ByteSequence[]>();
  readonly #calls: number[][] = [];
  readonly #ends = new Set<number>();
  readonly #moves: (Moves | undefined)[] = [];
  /** States that do not lead into a dead end. */
  readonly #useful: Uint8Array;

  /** @throws StarlingError invalid_request when it is too large, calls a rule that it has not, is left-recursive or matches nothing */
  constructor({ rules, root }: Grammar) {
    for (const name of rules.keys()) {
      const states = { start: this.#add(), end: this.#add() };
      this.#rules.set(name, states);
      this.#names.set(states.start, name);
      this.#ends.add(states.end);
    }
    for (const [name, expression] of rules) {
      const { start, end } = this.#rules.get(name)!;
      this.#build(expression, start, end);
    }
    this.start = this.#rule(root).start;
    this.#useful = this.#reachingEnd(false);
    if (this.#useful[this.start] === 0) throw invalid('no text satisfies it');
    this.#refuseLeftRecursion();
  }

  get states(): number {
    return this.#bytes.length;
  }

  moves(state: number): Moves {
    let moves = this.#moves[state];
    if (moves === undefined) {
      moves = this.#findMoves(state);
      this.#moves[state] = moves;
    }
    return moves;
  }

  /** Whether nothing is left of a rule in this state: then who calls another rule here need not come back. */
  isOver(state: number): boolean {
    const { bytes, calls, ends } = this.moves(state);
    return ends && bytes.length === 0 && calls.length === 0;
  }

  /** Numbers bytes so that those of one number are the same everywhere in the network. */
  byteClasses(): Uint8Array {
    const begins = new Uint8Array(257);
    for (const edges of this.#bytes) {
      for (let i = 0; i < edges.length; i += 3) {
        begins[edges[i]!] = 1;
        begins[edges[i + 1]! + 1] = 1;
      }
    }
    const classes = new Uint8Array(256);
    for (let byte = 1; byte < 256; byte++) classes[byte] = classes[byte - 1]! + begins[byte]!;
    return classes;
  }

  #add(): number {
    if (this.#bytes.length >= MAX_STATES) {
      throw invalid(`it is too large, with more than ${MAX_STATES} states; repeat less often, or smaller parts`);
    }
    this.#empty.push([]);
    this.#calls.push([]);
    return this.#bytes.push([]) - 1;
  }

  #rule(name: string): RuleStates {
    const states = this.#rules.get(name);
    if (states === undefined) throw invalid(`there is no rule ${JSON.stringify(name)}`);
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
        this.#calls[from]!.push(this.#rule(expression.name).start, to);
        return;
      case 'graph': {
        const nodes = expression.graph.accepts.map(() => this.#add());
        this.#empty[from]!.push(nodes[0]!);
        for (const [node, accepts] of expression.graph.accepts.entries()) {
          if (accepts) this.#empty[nodes[node]!]!.push(to);
        }
        for (const edge of expression.graph.edges) this.#build(edge.on, nodes[edge.from]!, nodes[edge.to]!);
      }
    }
  }

  #text(value: string, from: number, to: number): void {
    let at = from;
    for (const byte of Buffer.from(value, 'utf8')) {
      const next = this.#add();
      this.#bytes[at]!.push(byte, byte, next);
      at = next;
    }
    this.#empty[at]!.push(to);
  }

  /** Characters that end alike share the states of their ends. */
  #characters(ranges: readonly CharacterRange[], from: number, to: number): void {
    const before = new Map<string, number>();
    let encoded = this.#encoded.get(ranges);
    if (encoded === undefined) {
      encoded = normalRanges(ranges).flatMap(utf8Sequences);
      this.#encoded.set(ranges, encoded);
    }
    for (const bytes of encoded) {
      let next = to;
      for (let i = bytes.length - 1; i > 0; i--) {
        const [low, high] = bytes[i]!;
        const key = `${low} ${high} ${next}`;
        let state = before.get(key);
        if (state === undefined) {
          state = this.#add();
          this.#bytes[state]!.push(low, high, next);
          before.set(key, state);
        }
        next = state;
      }
      this.#bytes[from]!.push(...bytes[0]!, next);
    }
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    if (parts.length === 0) this.#empty[from]!.push(to);
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#add();
      this.#build(part, at, next);
      at = next;
    }
  }

  #repeat({ of, min, max }: Extract<Expression, { kind: 'repeat' }>, from: number, to: number): void {
    let at = this.#add();
    this.#empty[from]!.push(at);
    const bounded = max === Number.POSITIVE_INFINITY ? min : max;
    for (let count = 0; count < bounded; count++) {
      if (count >= min) this.#empty[at]!.push(to);
      const next = this.#add();
      this.#build(of, at, next);
      at = next;
    }
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#add();
      this.#empty[at]!.push(loop);
      this.#build(of, loop, loop);
      at = loop;
    }
    this.#empty[at]!.push(to);
  }

  /** States from which the end of their rule can be reached, or can be reached without reading a byte. */
  #reachingEnd(withoutReading: boolean): Uint8Array {
    const before: number[][] = Array.from({ length: this.states }, () => []);
    /** Flat, by the first state of a rule and by the state after a call: the state of the call, and the other of the two. */
    const byRule = new Map<number, number[]>();
    const byReturn = new Map<number, number[]>();
    for (let state = 0; state < this.states; state++) {
      for (const next of this.#empty[state]!) before[next]!.push(state);
      const edges = withoutReading ? [] : this.#bytes[state]!;
      for (let i = 2; i < edges.length; i += 3) before[edges[i]!]!.push(state);
      const calls = this.#calls[state]!;
      for (let i = 0; i < calls.length; i += 2) {
        listIn(byRule, calls[i]!).push(state, calls[i + 1]!);
        listIn(byReturn, calls[i + 1]!).push(state, calls[i]!);
      }
    }
    const reaching = new Uint8Array(this.states);
    const queue: number[] = [];
    const reach = (state: number): void => {
      if (reaching[state] !== 0) return;
      reaching[state] = 1;
      queue.push(state);
    };
    for (const end of this.#ends) reach(end);
    for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
      for (const previous of before[state]!) reach(previous);
      for (const calls of [byRule.get(state), byReturn.get(state)]) {
        for (let i = 0; calls !== undefined && i < calls.length; i += 2) {
          if (reaching[calls[i + 1]!] !== 0) reach(calls[i]!);
        }
      }
    }
    return reaching;
  }

  #findMoves(state: number): Moves {
    const bytes: number[] = [];
    const calls: number[] = [];
    let ends = false;
    const seen = new Set([state]);
    for (const at of seen) {
      const edges = this.#bytes[at]!;
      for (let i = 0; i < edges.length; i += 3) {
        if (this.#useful[edges[i + 2]!] === 1) bytes.push(edges[i]!, edges[i + 1]!, edges[i + 2]!);
      }
      const called = this.#calls[at]!;
      for (let i = 0; i < called.length; i += 2) {
        if (this.#useful[called[i]!] === 1 && this.#useful[called[i + 1]!] === 1)
          calls.push(called[i]!, called[i + 1]!);
      }
      if (this.#ends.has(at)) ends = true;
      for (const next of this.#empty[at]!) seen.add(next);
    }
    return { bytes, calls, ends };
  }

  /** A rule that begins with itself would be called for ever. */
  #refuseLeftRecursion(): void {
    const nullable = this.#reachingEnd(true);
    const progress = new Map<number, 'open' | 'done'>();
    // Depth first without recursion: grammars may nest deeper than the stack.
    const path: { rule: number; callees: number[] }[] = [];
    const enter = (rule: number): void => {
      if (progress.get(rule) === 'done') return;
      if (progress.get(rule) === 'open') {
        const name = JSON.stringify(this.#names.get(rule));
        throw invalid(`the rule ${name} begins with itself; put what comes first in front of it`);
      }
      progress.set(rule, 'open');
      path.push({ rule, callees: this.#calledFirst(rule, nullable) });
    };
    for (const root of this.#names.keys()) {
      enter(root);
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const callee = top.callees.pop();
        if (callee !== undefined) {
          enter(callee);
        } else {
          progress.set(top.rule, 'done');
          path.pop();
        }
      }
    }
  }

  #calledFirst(start: number, nullable: Uint8Array): number[] {
    const called = new Set<number>();
    const seen = new Set([start]);
    for (const state of seen) {
      for (const next of this.#empty[state]!) seen.add(next);
      const calls = this.#calls[state]!;
      for (let i = 0; i < calls.length; i += 2) {
        called.add(calls[i]!);
        if (nullable[calls[i]!] !== 0) seen.add(calls[i + 1]!);
      }
    }
    return [...called];
  }
}

function listIn(lists: Map<number, number[]>, key: number): number[] {
  let list = lists.get(key);
  if (list === undefined) {
    list = [];
    lists.set(key, list);
  }
  return list;
}

function invalid(problem: string): StarlingError {
  return new StarlingError('invalid_request', `the constraint on the output cannot be used: ${problem}`);
}
