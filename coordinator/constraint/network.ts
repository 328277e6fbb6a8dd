import type { EdgeTable } from './edge-table.ts';

/** A network as flat arrays, which can be handed from thread to thread; made by `networkTables`. */
export interface NetworkTables {
  readonly start: number;
  /** Rows of a state: the state, the lowest byte, the highest, the state after it. */
  readonly bytes: EdgeTable;
  /** The state, one that comes after it without a byte. */
  readonly empty: EdgeTable;
  /** The state, the first state of the rule that it calls, the state to return to. */
  readonly calls: EdgeTable;
  /** 1 for the states that end a rule. */
  readonly ends: Uint8Array;
}

/** What can be done in a state, without reading a byte first. */
export interface Moves {
  /** Flat: the lowest byte, the highest, the state after it. */
  readonly bytes: readonly number[];
  /** Flat: a rule's first state, the state to return to. */
  readonly calls: readonly number[];
  readonly ends: boolean;
  /** The states and edges that were looked at to find them. */
  readonly work: number;
}

/**
 * A grammar as a recursive transition network (Woods 1970): each rule an automaton over bytes, in which a move may also
 * be a call of another rule.
 */
export class Network {
  readonly start: number;
  readonly states: number;
  readonly #tables: NetworkTables;
  readonly #moves: (Moves | undefined)[];

  constructor(tables: NetworkTables) {
    this.start = tables.start;
    this.states = tables.ends.length;
    this.#tables = tables;
    this.#moves = new Array(this.states).fill(undefined);
  }

  moves(state: number): Moves {
    let moves = this.#moves[state];
    if (moves === undefined) {
      moves = this.#findMoves(state);
      this.#moves[state] = moves;
    }
    return moves;
  }

  /** Numbers bytes so that those of one number are the same everywhere in the network. */
  byteClasses(): Uint8Array {
    const begins = new Uint8Array(257);
    const { rows } = this.#tables.bytes;
    for (let row = 0; row < rows.length; row += 4) {
      begins[rows[row + 1]!] = 1;
      begins[rows[row + 2]! + 1] = 1;
    }
    const classes = new Uint8Array(256);
    for (let byte = 1; byte < 256; byte++) classes[byte] = classes[byte - 1]! + begins[byte]!;
    return classes;
  }

  #findMoves(state: number): Moves {
    const { bytes: byByte, calls: byCall, empty, ends: areEnds } = this.#tables;
    const bytes: number[] = [];
    const calls: number[] = [];
    let ends = false;
    const seen = new Set([state]);
    for (const at of seen) {
      for (let row = byByte.firsts[at]!; row < byByte.firsts[at + 1]!; row += 4) {
        bytes.push(byByte.rows[row + 1]!, byByte.rows[row + 2]!, byByte.rows[row + 3]!);
      }
      for (let row = byCall.firsts[at]!; row < byCall.firsts[at + 1]!; row += 3) {
        calls.push(byCall.rows[row + 1]!, byCall.rows[row + 2]!);
      }
      if (areEnds[at] === 1) ends = true;
      for (let row = empty.firsts[at]!; row < empty.firsts[at + 1]!; row += 2) seen.add(empty.rows[row + 1]!);
    }
    return { bytes, calls, ends, work: seen.size + bytes.length / 3 + calls.length / 2 };
  }
}
