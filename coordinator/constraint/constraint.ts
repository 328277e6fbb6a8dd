import { StarlingError } from '../../daemon/errors.ts';
import type { Network } from './network.ts';
import { type ParseState, ParseStates } from './parse-states.ts';
import { TokenMasks } from './token-masks.ts';
import type { TokenSource, VocabularyIndex } from './vocabulary-index.ts';

/** What all texts under one grammar share: the automaton and the masks found so far. */
interface Shared {
  readonly states: ParseStates;
  readonly masks: TokenMasks;
  readonly vocabulary: VocabularyIndex;
  readonly source: TokenSource;
}

/**
 * How far a text has got in a grammar. It does not change: `accept` gives another one, and going back is to use the one
 * before. Which tokens are forced depends on the text alone, so neither drafts nor the company in a step change what
 * comes of it.
 */
export class Constraint {
  readonly #shared: Shared;
  readonly #state: ParseState;

  private constructor(shared: Shared, state: ParseState) {
    this.#shared = shared;
    this.#state = state;
  }

  /**
   * The constraint of an empty text.
   * @throws StarlingError invalid_request as ParseStates.start
   */
  static of(network: Network, source: TokenSource, vocabulary: VocabularyIndex): Constraint {
    const states = new ParseStates(network);
    const shared = { states, masks: new TokenMasks(states, vocabulary), vocabulary, source };
    return new Constraint(shared, states.start());
  }

  /** Whether the text may end here. */
  get isComplete(): boolean {
    return this.#state.accepts;
  }

  /** Whether it can only end here. */
  get isOver(): boolean {
    return this.#shared.states.isOver(this.#state);
  }

  /**
   * The tokens that may come next: token t is bit t mod 32 of word t div 32; those that end a text are among them where
   * it is complete. Not to be changed.
   * @throws StarlingError invalid_request when there are none, or when the grammar is too ambiguous
   */
  allowed(): Uint32Array {
    const mask = this.#shared.masks.of(this.#state);
    if (mask.every((word) => word === 0)) {
      throw new StarlingError(
        'invalid_request',
        'no token of the model can go on with the text as its format wants it',
      );
    }
    return mask;
  }

  /** All tokens but those that end a text, in the same form. */
  anyText(): Uint32Array {
    return this.#shared.vocabulary.anyText;
  }

  /** Whether so much was found out about the grammar that it is better begun anew for further texts. */
  get isWorn(): boolean {
    return this.#shared.states.isWorn;
  }

  /** The constraint after one more token that is text; null where that is not allowed. */
  accept(token: number): Constraint | null {
    const { states, source } = this.#shared;
    const bytes = source.pieceBytes(token);
    if (bytes.length === 0 || source.isEndOfGeneration(token)) return null;
    states.begin();
    let state: ParseState | null = this.#state;
    for (const byte of bytes) {
      state = states.step(state, byte);
      if (state === null) return null;
    }
    return new Constraint(this.#shared, state);
  }

  /**
   * The token that comes next whatever the model says: where the next bytes are certain, the longest one that spells
   * them. Null where there is none, or where a longer token would also take up what is not certain.
   */
  forced(): number | null {
    const { states, vocabulary } = this.#shared;
    const { all: trie } = vocabulary;
    states.begin();
    let longest: number | null = null;
    let node = -1;
    let state = this.#state;
    for (let byte = states.onlyByte(state); byte >= 0; byte = states.onlyByte(state)) {
      node = trie.child(node, byte);
      if (node < 0) return longest;
      state = states.step(state, byte)!;
      longest = trie.tokenAt(node) ?? longest;
    }
    if (node < 0) return null;
    for (let child = node + 1; child < trie.ends[node]!; child = trie.ends[child]!) {
      if (states.step(state, trie.bytes[child]!) !== null) return null;
    }
    return longest;
  }
}
