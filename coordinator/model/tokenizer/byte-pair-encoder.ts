import { BYTE_CHARS } from './byte-alphabet.ts';
import { compose } from './compose.ts';
import { MergeQueue } from './merge-queue.ts';
import { MergeTable } from './merge-table.ts';
import { createPretokenizer } from './pretokenize.ts';
import type { Pretokenizer } from './pretokenizers.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Words up to this many characters are remembered, and this many of them. */
const CACHED_LENGTH = 32;
const CACHED_WORDS = 16_384;
/** Longer words get buffers of their own, so that one huge text does not stay in memory. */
const SCRATCH_LENGTH = 4096;

const NO_SYMBOL = -1;

/** A word being merged: a doubly linked list of symbols, and the pairs that can be merged. */
interface Scratch {
  readonly symbols: Int32Array;
  readonly previous: Int32Array;
  readonly next: Int32Array;
  readonly queue: MergeQueue;
}

/** Byte-level BPE as llama.cpp computes it: words by regular expression, then merges by rank, leftmost first. */
export class BytePairEncoder {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #vocabSize: number;
  readonly #pretokenize: ReturnType<typeof createPretokenizer>;
  readonly #composes: boolean;
  readonly #wholePieces: boolean;
  readonly #merges: MergeTable;
  /** The symbol of each byte; NO_SYMBOL when neither token nor merge knows it. */
  readonly #byteSymbols: Int32Array;
  readonly #cache = new Map<string, readonly number[]>();
  readonly #scratch = createScratch(SCRATCH_LENGTH);
  readonly #longestToken: number;

  constructor(vocabulary: Vocabulary, pre: Pretokenizer, ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    this.#vocabSize = vocabulary.tokens.length;
    this.#pretokenize = createPretokenizer(pre.rules);
    this.#composes = pre.composes;
    this.#wholePieces = pre.wholePieces;
    const merges = new MergeTable(vocabulary.merges, ids, this.#vocabSize);
    this.#merges = merges;
    this.#byteSymbols = Int32Array.from(
      BYTE_CHARS,
      (char) => ids.get(char) ?? merges.extraSymbols.get(char) ?? NO_SYMBOL,
    );
    this.#longestToken = vocabulary.tokens.reduce((longest, token) => Math.max(longest, token.length), 0);
  }

  /** Appends the ids of a text without special tokens. @param text well-formed UTF-16 */
  encode(text: string, out: number[]): void {
    const composed = this.#composes ? compose(text) : text;
    this.#pretokenize(composed, (start, end) => this.#encodeWord(composed.slice(start, end), out));
  }

  #encodeWord(word: string, out: number[]): void {
    if (word.length > CACHED_LENGTH) {
      this.#merge(word, out);
      return;
    }
    let ids = this.#cache.get(word);
    if (ids === undefined) {
      const fresh: number[] = [];
      this.#merge(word, fresh);
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, fresh);
      ids = fresh;
    }
    for (const id of ids) out.push(id);
  }

  #merge(word: string, out: number[]): void {
    const bytes = Buffer.from(word, 'utf8');
    if (this.#wholePieces && bytes.length <= this.#longestToken) {
      let piece = '';
      for (const byte of bytes) piece += BYTE_CHARS[byte];
      const whole = this.#ids.get(piece);
      if (whole !== undefined) {
        out.push(whole);
        return;
      }
    }
    const scratch = bytes.length <= SCRATCH_LENGTH ? this.#scratch : createScratch(bytes.length);
    this.#mergeBytes(bytes, scratch);
    for (let i = 0; i < bytes.length; i = scratch.next[i] as number) this.#emit(scratch.symbols[i] as number, out);
  }

  #mergeBytes(bytes: Uint8Array, { symbols, previous, next, queue }: Scratch): void {
    const n = bytes.length;
    for (let i = 0; i < n; i++) {
      symbols[i] = this.#byteSymbols[bytes[i] as number] as number;
      previous[i] = i - 1;
      next[i] = i + 1;
    }
    const offer = (left: number): void => {
      const right = next[left] as number;
      if (right >= n) return;
      const rank = this.#merges.rank(symbols[left] as number, symbols[right] as number);
      if (rank >= 0) queue.push(rank, left, rank);
    };
    queue.clear();
    for (let i = 0; i < n - 1; i++) offer(i);
    while (queue.size > 0) {
      const left = queue.position;
      const rank = queue.stamp;
      queue.pop();
      const right = next[left] as number;
      // a symbol merged away points to n, and a pair that changed has another rank
      if (right >= n) continue;
      if (this.#merges.rank(symbols[left] as number, symbols[right] as number) !== rank) continue;
      symbols[left] = this.#merges.result(rank);
      const after = next[right] as number;
      next[left] = after;
      next[right] = n;
      if (after < n) previous[after] = left;
      const before = previous[left] as number;
      if (before >= 0) offer(before);
      offer(left);
    }
  }

  #emit(symbol: number, out: number[]): void {
    if (symbol >= 0 && symbol < this.#vocabSize) {
      out.push(symbol);
      return;
    }
    // like llama.cpp: of a piece that is no token only the single-byte characters that are tokens remain
    for (const char of this.#merges.pieceOf(symbol)) {
      const id = char < '\u0080' ? this.#ids.get(char) : undefined;
      if (id !== undefined) out.push(id);
    }
  }
}

function createScratch(length: number): Scratch {
  return {
    symbols: new Int32Array(length),
    previous: new Int32Array(length),
    next: new Int32Array(length),
    queue: new MergeQueue(length),
  };
}
