import { sortedByBytes, type TokenBytes, TokenTrie } from './token-trie.ts';

/** What is asked of a tokenizer. */
export interface TokenSource {
  pieceBytes(token: number): Uint8Array;
  isEndOfGeneration(token: number): boolean;
}

/** Plain tokens of more characters are treated like others. */
const MAX_PLAIN = 32;

/**
 * A vocabulary as masks are made from it. Most tokens are **plain**: whole characters that a JSON string holds as they are. Where
 * any plain character may follow, the plain tokens are allowed all together, and only the others are looked at one by one.
 */
export class VocabularyIndex {
  /** 32-bit words of a set of tokens: token t is bit t mod 32 of word t div 32. */
  readonly words: number;
  /** The most characters of a plain token. */
  readonly longestPlain = MAX_PLAIN;
  readonly all: TokenTrie;
  readonly others: TokenTrie;
  readonly ends: readonly number[];
  /** All tokens but the ends, those without text included; not to be changed. */
  readonly anyText: Uint32Array;
  /** The plain tokens of at most so many characters. */
  readonly #plain: readonly Uint32Array[];

  /** 130,000 tokens take about 0.3 s. Tokens without bytes, and those that end a text, are no text. */
  constructor(source: TokenSource, vocabSize: number) {
    this.words = Math.ceil(vocabSize / 32);
    const plain = Array.from({ length: MAX_PLAIN + 1 }, () => new Uint32Array(this.words));
    const all: TokenBytes[] = [];
    const others = new Set<number>();
    const ends: number[] = [];
    for (let token = 0; token < vocabSize; token++) {
      if (source.isEndOfGeneration(token)) {
        ends.push(token);
        continue;
      }
      const bytes = source.pieceBytes(token);
      if (bytes.length === 0) continue;
      all.push({ token, bytes });
      const length = plainLength(bytes);
      if (length > 0 && length <= MAX_PLAIN) plain[length]![token >>> 5]! |= 1 << (token & 31);
      else others.add(token);
    }
    for (let length = 1; length <= MAX_PLAIN; length++) {
      for (let word = 0; word < this.words; word++) plain[length]![word]! |= plain[length - 1]![word]!;
    }
    this.#plain = plain;
    const sorted = sortedByBytes(all);
    this.all = new TokenTrie(sorted);
    this.others = new TokenTrie(sorted.filter(({ token }) => others.has(token)));
    this.ends = ends;
    this.anyText = new Uint32Array(this.words).fill(0xffffffff);
    if (vocabSize % 32 > 0) this.anyText[this.words - 1] = 2 ** (vocabSize % 32) - 1;
    for (const token of ends) this.anyText[token >>> 5]! &= ~(1 << (token & 31));
  }

  /** The plain tokens of at most so many characters; not to be changed. */
  plainUpTo(length: number): Uint32Array {
    return this.#plain[length]!;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Characters of a plain token; 0 for others. */
function plainLength(bytes: Uint8Array): number {
  let isAscii = true;
  for (const byte of bytes) {
    if (byte < 0x20 || byte === 0x22 || byte === 0x5c) return 0;
    isAscii &&= byte < 0x80;
  }
  if (isAscii) return bytes.length;
  try {
    return [...decoder.decode(bytes)].length;
  } catch {
    return 0;
  }
}
