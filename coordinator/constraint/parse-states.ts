import { StarlingError } from '../../daemon/errors.ts';
import type { Moves, Network } from './network.ts';

/** Places that a text may be at, at the same time. Beyond it a grammar is too ambiguous. */
const MAX_PLACES = 10_000;
/**
 * States and edges looked at between two calls of `begin`, 50 to 200 ns each, in which other texts wait. Schemas of
 * hundreds of tools need 120,000.
 */
const MAX_WORK = 400_000;
/** Parse states kept before they are found again; about 1 kB each. */
const MAX_KEPT = 10_000;

/**
 * Stacks that are kept as long as their automaton is, about 100 bytes each; and those after which another one should
 * take over.
 */
const MAX_STACKS = 1_000_000;
const MANY_STACKS = 200_000;

/** All that a text so far may stand for, and what follows from it; made and kept by ParseStates. */
export interface ParseState {
  /**
   * Numbers `state + states · stack`, in order: states of the network that read a byte next, with those to return to.
   */
  readonly places: readonly number[];
  /** Whether the text may end here. */
  readonly accepts: boolean;
  /** By class of byte: the state after it, null where no text goes on with it, undefined where nobody has asked. */
  readonly next: (ParseState | null | undefined)[];
  /** Of ParseStates' keeping. */
  readonly age: number;
}

/**
 * The deterministic automaton of a network, made as it is needed: a state is the set of all places that the text may be
 * at, each with the stack of states to return to. Stacks are shared and numbered, so that equal ones are equal numbers.
 */
export class ParseStates {
  readonly #network: Network;
  readonly classes: number;
  readonly #classOf: Uint8Array;
  /** A byte of each class. */
  readonly #byteOf: readonly number[];
  readonly #stacks = new Stacks();
  #known = new Map<string, ParseState>();
  #age = 0;
  #work = 0;

  constructor(network: Network) {
    this.#network = network;
    this.#classOf = network.byteClasses();
    this.classes = this.#classOf[255]! + 1;
    this.#byteOf = Array.from({ length: this.classes }, (_, number) => this.#classOf.indexOf(number));
  }

  /** Whether there is more to keep than a further text should begin with. */
  get isWorn(): boolean {
    return this.#stacks.count > MANY_STACKS;
  }

  /** The state of the empty text. */
  start(): ParseState {
    this.begin();
    return this.#intern([[this.#network.start, 0]]);
  }

  /**
   * Starts to count work anew, and forgets states when there are too many; those that somebody holds stay as they are.
   */
  begin(): void {
    this.#work = 0;
    if (this.#known.size <= MAX_KEPT) return;
    this.#known = new Map();
    this.#age++;
  }

  /**
   * @returns the state after one more byte; null where no text goes on so
   * @throws StarlingError invalid_request when the grammar is so ambiguous that this takes too long
   */
  step(state: ParseState, byte: number): ParseState | null {
    return this.stepClass(state, this.#classOf[byte]!);
  }

  /** As `step`, for any byte of a class. */
  stepClass(state: ParseState, byteClass: number): ParseState | null {
    const known = state.next[byteClass];
    // A state of an earlier age would keep all that follows from it.
    if (known !== undefined && (known === null || known.age === this.#age)) return known;
    const next = this.#read(state, this.#byteOf[byteClass]!);
    state.next[byteClass] = next;
    return next;
  }

  /** The only byte that a text can go on with; -1 where there are several, or none, or it may end. */
  onlyByte(state: ParseState): number {
    if (state.accepts) return -1;
    let only = -1;
    for (let byteClass = 0; byteClass < this.classes; byteClass++) {
      if (this.stepClass(state, byteClass) === null) continue;
      if (only >= 0) return -1;
      only = this.#byteOf[byteClass]!;
      if (this.#classOf[only + 1] === byteClass) return -1;
    }
    return only;
  }

  /** Whether the text can only end here. */
  isOver(state: ParseState): boolean {
    return state.accepts && state.places.length === 0;
  }

  #read(state: ParseState, byte: number): ParseState | null {
    const reached: [number, number][] = [];
    const { states } = this.#network;
    for (const place of state.places) {
      const { bytes } = this.#moves(place % states);
      for (let i = 0; i < bytes.length; i += 3) {
        if (bytes[i]! <= byte && byte <= bytes[i + 1]!) reached.push([bytes[i + 2]!, Math.floor(place / states)]);
      }
    }
    return reached.length === 0 ? null : this.#intern(reached);
  }

  /** The parse state of these places and of all that they come to without reading. */
  #intern(reached: readonly (readonly [state: number, stack: number])[]): ParseState {
    const { states } = this.#network;
    const seen = new Set<number>();
    for (const [state, stack] of reached) seen.add(state + states * stack);
    const places: number[] = [];
    let accepts = false;
    for (const place of seen) {
      if (seen.size > MAX_PLACES) throw tooComplex();
      const stack = Math.floor(place / states);
      const { bytes, calls, ends } = this.#moves(place % states);
      if (bytes.length > 0) places.push(place);
      for (let i = 0; i < calls.length; i += 2) {
        const after = calls[i + 1]!;
        seen.add(calls[i]! + states * (isOver(this.#moves(after)) ? stack : this.#stacks.push(stack, after)));
      }
      if (ends && stack === 0) accepts = true;
      else if (ends) seen.add(this.#stacks.top(stack) + states * this.#stacks.rest(stack));
    }
    places.sort((a, b) => a - b);
    const key = `${accepts ? '+' : ''}${places.join(' ')}`;
    let state = this.#known.get(key);
    if (state === undefined) {
      state = { places, accepts, next: new Array(this.classes).fill(undefined), age: this.#age };
      this.#known.set(key, state);
    }
    return state;
  }

  #moves(state: number): Moves {
    const moves = this.#network.moves(state);
    this.#work += moves.work;
    if (this.#work > MAX_WORK) throw tooComplex();
    return moves;
  }
}

/** Stacks as a tree: each is another with one more on top; 0 is the empty one. */
class Stacks {
  readonly #tops: number[] = [0];
  readonly #rests: number[] = [0];
  readonly #known = new Map<string, number>();

  get count(): number {
    return this.#tops.length;
  }

  push(stack: number, top: number): number {
    const key = `${stack} ${top}`;
    let pushed = this.#known.get(key);
    if (pushed === undefined) {
      if (this.#tops.length >= MAX_STACKS) throw tooComplex();
      pushed = this.#tops.push(top) - 1;
      this.#rests.push(stack);
      this.#known.set(key, pushed);
    }
    return pushed;
  }

  top(stack: number): number {
    return this.#tops[stack]!;
  }

  rest(stack: number): number {
    return this.#rests[stack]!;
  }
}

/** Whether nothing is left of a rule: then who calls another rule here need not come back. */
function isOver({ bytes, calls, ends }: Moves): boolean {
  return ends && bytes.length === 0 && calls.length === 0;
}

function tooComplex(): StarlingError {
  return new StarlingError(
    'invalid_request',
    'the constraint on the output is too ambiguous to be checked in time; let fewer of its alternatives begin alike',
  );
}
