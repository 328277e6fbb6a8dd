import type { ParseState, ParseStates } from './parse-states.ts';
import { afterPlain } from './plain-run.ts';
import type { TokenTrie } from './token-trie.ts';
import type { VocabularyIndex } from './vocabulary-index.ts';

/** Masks that are kept, 16 KiB each for 128,000 tokens. */
const MAX_KEPT = 128;

/** Which tokens may come next in each parse state: computed when it is asked for, and kept. */
export class TokenMasks {
  readonly #states: ParseStates;
  readonly #vocabulary: VocabularyIndex;
  readonly #kept = new Map<ParseState, Uint32Array>();
  readonly #afterPlain = new WeakMap<ParseState, { readonly state: ParseState | null | undefined }>();

  constructor(states: ParseStates, vocabulary: VocabularyIndex) {
    this.#states = states;
    this.#vocabulary = vocabulary;
  }

  /**
   * The tokens that may come next, as a set: token t is bit t mod 32 of word t div 32; those that end a text are in it
   * where it may end. Not to be changed.
   * @throws StarlingError invalid_request as ParseStates.step
   */
  of(state: ParseState): Uint32Array {
    let mask = this.#kept.get(state);
    if (mask !== undefined) return mask;
    mask = this.#compute(state);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(state, mask);
    return mask;
  }

  #compute(state: ParseState): Uint32Array {
    const vocabulary = this.#vocabulary;
    this.#states.begin();
    const run = this.#plainRun(state);
    const mask = run === null ? new Uint32Array(vocabulary.words) : vocabulary.plainUpTo(run).slice();
    this.#walk(run === null ? vocabulary.all : vocabulary.others, state, mask);
    if (state.accepts) for (const token of vocabulary.ends) mask[token >>> 5]! |= 1 << (token & 31);
    return mask;
  }

  /**
   * How many plain characters may follow, whichever they are, with none after them; null where that depends on the
   * characters.
   */
  #plainRun(state: ParseState): number | null {
    const { longestPlain } = this.#vocabulary;
    let at = state;
    for (let length = 0; length < longestPlain; length++) {
      let after = this.#afterPlain.get(at);
      if (after === undefined) {
        after = { state: afterPlain(this.#states, at) };
        this.#afterPlain.set(at, after);
      }
      const next = after.state;
      if (next === undefined) return null;
      if (next === null) return length;
      if (next === at) break;
      at = next;
    }
    return longestPlain;
  }

  #walk(trie: TokenTrie, start: ParseState, mask: Uint32Array): void {
    const { bytes, depths, ends, firsts, tokens } = trie;
    const path: ParseState[] = [start];
    for (let node = 0; node < bytes.length; ) {
      const depth = depths[node]!;
      const next = this.#states.step(path[depth]!, bytes[node]!);
      if (next === null) {
        node = ends[node]!;
        continue;
      }
      path[depth + 1] = next;
      for (let i = firsts[node]!; i < firsts[node + 1]!; i++) mask[tokens[i]! >>> 5]! |= 1 << (tokens[i]! & 31);
      node++;
    }
  }
}
