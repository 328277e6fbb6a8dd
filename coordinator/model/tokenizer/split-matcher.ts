import { type Instruction, parsePattern } from './split-pattern.ts';

/** Called with the start and end (UTF-16 units) of each piece, in order, without gaps. */
export type EmitPiece = (start: number, end: number) => void;

/** Cuts the part of a text between two places into pieces. */
export type Splitter = (text: string, start: number, end: number, emit: EmitPiece) => void;

/** The class of "no character": the end of the text. */
const END = 0;
const MAX_CODE_POINTS = 0x110000;
const MAX_CLASSES = 256;
/** The sets that a class is in are bits of one number. */
const MAX_SETS = 31;
/** Scans that ran on for longer than this after the end of what they found are remembered. */
const FUTILE = 16;

const DEAD = 0;
const START = 1;
const UNKNOWN = -1;

/** A state of the automaton: the places in the program at which a match may be, preferred ones first. */
interface State {
  readonly places: readonly number[];
  /** By class: the next state, times two, plus one where the match ends before this character. */
  readonly next: Int32Array;
}

/**
 * Finds the matches of a pattern one after the other, as an engine that backtracks would: of several ways to match, the
 * one that the pattern prefers. It is a finite automaton whose states are made when they are first met. What a scan
 * found to lead nowhere is not scanned again (Reps, "Maximal-munch tokenization in linear time", 1998), so that no text
 * takes longer than in proportion to its length, for patterns whose loops go round with each character: one state is
 * remembered for each place. A regular expression engine keeps an entry of its stack for each character of a long run,
 * and fails on megabytes of one letter.
 */
class SplitMatcher {
  readonly #instructions: readonly Instruction[];
  readonly #sets: readonly RegExp[];
  /** Class of each code point; 0 is not known yet. Characters that are in the same sets are of one class. */
  readonly #classes = new Uint8Array(MAX_CODE_POINTS);
  /** Sets that a class is in, as bits. */
  readonly #members: number[] = [0];
  readonly #states: State[] = [];
  readonly #stateOf = new Map<string, number>();

  constructor(pattern: string) {
    const { instructions, sets } = parsePattern(pattern);
    if (sets.length > MAX_SETS) throw new RangeError(`${sets.length} sets, more than ${MAX_SETS}`);
    this.#instructions = instructions;
    this.#sets = sets;
    this.#state([]);
    this.#state(this.#follow(0, [], new Set()));
  }

  /** Matches are pieces, and so is what stands between them. */
  split(text: string, start: number, end: number, emit: EmitPiece): void {
    /** By place, the last state that led nowhere from there. */
    let futile: Int32Array | null = null;
    let pending = start;
    for (let from = start; from < end; ) {
      let state = START;
      let found = -1;
      let at = from;
      while (state !== DEAD) {
        if (futile !== null && futile[at - start] === state) break;
        const point = at < end ? (text.codePointAt(at) as number) : -1;
        const step = this.#step(state, point < 0 ? END : this.#classOf(point));
        if ((step & 1) === 1) found = at;
        state = step >> 1;
        if (point < 0) break;
        at += point >= 0x10000 ? 2 : 1;
      }
      const stop = found > from ? found : from + widthAt(text, from);
      if (at - stop > FUTILE) {
        futile ??= new Int32Array(end - start);
        this.#remember(text, from, Math.min(at, end), stop, start, futile);
      }
      if (found > from) {
        if (pending < from) emit(pending, from);
        emit(from, found);
        pending = found;
      }
      from = stop;
    }
    if (pending < end) emit(pending, end);
  }

  /** Goes over a scan again and notes the states after its last match. */
  #remember(text: string, from: number, to: number, stop: number, origin: number, futile: Int32Array): void {
    let state = START;
    for (let at = from; at < to && state !== DEAD; ) {
      if (at > stop) futile[at - origin] = state;
      const point = text.codePointAt(at) as number;
      state = this.#step(state, this.#classOf(point)) >> 1;
      at += point >= 0x10000 ? 2 : 1;
    }
  }

  #step(state: number, kind: number): number {
    const known = (this.#states[state] as State).next[kind] as number;
    return known !== UNKNOWN ? known : this.#makeStep(state, kind);
  }

  #makeStep(state: number, kind: number): number {
    const { places, next } = this.#states[state] as State;
    const reached: number[] = [];
    const seen = new Set<number>();
    const isIn = (set: number): boolean => (((this.#members[kind] as number) >> set) & 1) === 1;
    /** Whether a match ends here. */
    const run = (place: number): boolean => {
      const instruction = this.#instructions[place] as Instruction;
      if (instruction.op === 'match') return true;
      if (instruction.op === 'take' && isIn(instruction.set)) this.#follow(place + 1, reached, seen);
      if (instruction.op === 'unless' && !isIn(instruction.set)) {
        return this.#follow(place + 1, [], new Set()).some(run);
      }
      return false;
    };
    // what is preferred less than a match is not wanted any more
    const matched = places.some(run);
    const step = this.#state(reached) * 2 + (matched ? 1 : 0);
    next[kind] = step;
    return step;
  }

  /** Adds the places that are reached without taking a character, preferred ones first. */
  #follow(place: number, reached: number[], seen: Set<number>): number[] {
    if (seen.has(place)) return reached;
    seen.add(place);
    const instruction = this.#instructions[place] as Instruction;
    if (instruction.op === 'jump') return this.#follow(instruction.to, reached, seen);
    if (instruction.op === 'fork') {
      this.#follow(instruction.first, reached, seen);
      return this.#follow(instruction.second, reached, seen);
    }
    reached.push(place);
    return reached;
  }

  #state(places: readonly number[]): number {
    const key = places.join();
    let state = this.#stateOf.get(key);
    if (state === undefined) {
      state = this.#states.push({ places, next: new Int32Array(MAX_CLASSES).fill(UNKNOWN) }) - 1;
      this.#stateOf.set(key, state);
    }
    return state;
  }

  #classOf(point: number): number {
    const known = this.#classes[point] as number;
    return known !== 0 ? known : this.#classify(point);
  }

  #classify(point: number): number {
    const char = String.fromCodePoint(point);
    const members = this.#sets.reduce((bits, set, i) => (set.test(char) ? bits | (1 << i) : bits), 0);
    const known = this.#members.indexOf(members, END + 1);
    const kind = known >= 0 ? known : this.#members.push(members) - 1;
    if (kind >= MAX_CLASSES) throw new RangeError(`more than ${MAX_CLASSES} classes of characters`);
    this.#classes[point] = kind;
    return kind;
  }
}

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) as number) >= 0x10000 ? 2 : 1;
}

/**
 * A splitter by a pattern (split-pattern.ts).
 * @throws SyntaxError for a pattern that is not understood
 */
export function patternSplitter(pattern: string): Splitter {
  const matcher = new SplitMatcher(pattern);
  return (text, start, end, emit) => matcher.split(text, start, end, emit);
}
