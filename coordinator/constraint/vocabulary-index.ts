import { setImmediate as nextTurn } from 'node:timers/promises';
import { TokenTrie } from './token-trie.ts';
import type { Pieces, VocabularyTables } from './vocabulary-tables.ts';

/** What is asked of a tokenizer. */
export interface TokenSource {
  pieceBytes(token: number): Uint8Array;
  isEndOfGeneration(token: number): boolean;
}

/** Tokens asked for in one turn of the event loop: some milliseconds. */
const TOKENS_A_TURN = 8192;

/**
 * A vocabulary as masks are made from it. Most tokens are **plain**: whole characters that a JSON string holds as they
 * are, and no separators of lines, which the `.` of a regular expression does not match. Where any plain character may
 * follow, the plain tokens are allowed all together, and only the others are looked at one by one.
 */
export class VocabularyIndex {
  /** 32-bit words of a set of tokens: token t is bit t mod 32 of word t div 32. */
  readonly words: number;
  /** The most characters of a plain token. */
  readonly longestPlain: number;
  readonly all: TokenTrie;
  readonly others: TokenTrie;
  readonly ends: readonly number[];
  /** All tokens but the ends, those without text included; not to be changed. */
  readonly anyText: Uint32Array;
  readonly #plain: readonly Uint32Array[];

  constructor({ vocabSize, all, others, ends, plain }: VocabularyTables) {
    this.words = Math.ceil(vocabSize / 32);
    this.longestPlain = plain.length - 1;
    this.all = new TokenTrie(all);
    this.others = new TokenTrie(others);
    this.ends = ends;
    this.#plain = plain;
    this.anyText = new Uint32Array(this.words).fill(0xffffffff);
    if (vocabSize % 32 > 0) this.anyText[this.words - 1] = 2 ** (vocabSize % 32) - 1;
    for (const token of ends) this.anyText[token >>> 5]! &= ~(1 << (token & 31));
  }

  /** The plain tokens of at most so many characters; not to be changed. */
  plainUpTo(length: number): Uint32Array {
    return this.#plain[length]!;
  }
}

/** Asks a tokenizer for all of its tokens, some in each turn of the event loop. */
export async function readPieces(source: TokenSource, vocabSize: number): Promise<Pieces> {
  const pieces: Uint8Array[] = [];
  const firsts = new Int32Array(vocabSize + 1);
  const ends: number[] = [];
  for (let token = 0; token < vocabSize; token++) {
    if (token % TOKENS_A_TURN === TOKENS_A_TURN - 1) await nextTurn();
    const bytes = source.pieceBytes(token);
    pieces.push(bytes);
    firsts[token + 1] = firsts[token]! + bytes.length;
    if (source.isEndOfGeneration(token)) ends.push(token);
  }
  return { bytes: new Uint8Array(Buffer.concat(pieces)), firsts, ends };
}
