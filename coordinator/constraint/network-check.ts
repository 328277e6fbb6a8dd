import { StarlingError } from '../../daemon/errors.ts';
import { edgeTable } from './edge-table.ts';

/** The edges of a network, each kind in one list. */
export interface NetworkEdges {
  readonly states: number;
  /** Rows of four: a state, the lowest byte, the highest, the state after it. */
  readonly bytes: readonly number[];
  /** Rows of two: a state, one that comes after it without a byte. */
  readonly empty: readonly number[];
  /** Rows of three: a state, the first state of the rule that it calls, the state to return to. */
  readonly calls: readonly number[];
  /** 1 for the states that end a rule. */
  readonly ends: Uint8Array;
}

/**
 * 1 for the states from which the end of their rule can be reached, or, with `withoutReading`, can be reached without a
 * byte.
 */
export function reachingEnd({ states, bytes, empty, calls, ends }: NetworkEdges, withoutReading: boolean): Uint8Array {
  const beforeEmpty = edgeTable(states, empty, 2, 1);
  const beforeByte = edgeTable(states, withoutReading ? [] : bytes, 4, 3);
  const byRule = edgeTable(states, calls, 3, 1);
  const byReturn = edgeTable(states, calls, 3, 2);
  const reaching = new Uint8Array(states);
  const queue: number[] = [];
  const reach = (state: number): void => {
    if (reaching[state] !== 0) return;
    reaching[state] = 1;
    queue.push(state);
  };
  for (let state = 0; state < states; state++) if (ends[state] === 1) reach(state);
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    for (const { width, firsts, rows } of [beforeEmpty, beforeByte]) {
      for (let row = firsts[state]!; row < firsts[state + 1]!; row += width) reach(rows[row]!);
    }
    // A call leads on when both the rule and what follows it do.
    for (const { width, firsts, rows } of [byRule, byReturn]) {
      for (let row = firsts[state]!; row < firsts[state + 1]!; row += width) {
        if (reaching[rows[row + 1]!] !== 0 && reaching[rows[row + 2]!] !== 0) reach(rows[row]!);
      }
    }
  }
  return reaching;
}

/**
 * A rule that begins with itself would be called for ever.
 * @param names of the rules by their first states
 * @throws StarlingError invalid_request where there is one
 */
export function refuseLeftRecursion(edges: NetworkEdges, names: ReadonlyMap<number, string>): void {
  const calledFirst = firstCalls(edges);
  const progress = new Map<number, 'open' | 'done'>();
  // Depth first without recursion: grammars may nest deeper than the stack.
  const path: { rule: number; callees: number[] }[] = [];
  const enter = (rule: number): void => {
    if (progress.get(rule) === 'done') return;
    if (progress.get(rule) === 'open') {
      const name = JSON.stringify(names.get(rule));
      throw invalidNetwork(`the rule ${name} begins with itself; put what comes first in front of it`);
    }
    progress.set(rule, 'open');
    path.push({ rule, callees: calledFirst(rule) });
  };
  for (const root of names.keys()) {
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

/** Gives the rules that a rule may call before a byte is read. */
function firstCalls(edges: NetworkEdges): (start: number) => number[] {
  const nullable = reachingEnd(edges, true);
  const empty = edgeTable(edges.states, edges.empty, 2);
  const calls = edgeTable(edges.states, edges.calls, 3);
  return (start) => {
    const called = new Set<number>();
    const seen = new Set([start]);
    for (const state of seen) {
      for (let row = empty.firsts[state]!; row < empty.firsts[state + 1]!; row += 2) seen.add(empty.rows[row + 1]!);
      for (let row = calls.firsts[state]!; row < calls.firsts[state + 1]!; row += 3) {
        called.add(calls.rows[row + 1]!);
        if (nullable[calls.rows[row + 1]!] !== 0) seen.add(calls.rows[row + 2]!);
      }
    }
    return [...called];
  };
}

export function invalidNetwork(problem: string): StarlingError {
  return new StarlingError('invalid_request', `the constraint on the output cannot be used: ${problem}`);
}
