import { sortedByBytes, type TokenBytes, type TrieTables, trieTables } from './token-trie.ts';

/** What a vocabulary's tokens say, in flat arrays. */
export interface Pieces {
  /** The bytes of all tokens, one after the other: those of token t are from `firsts[t]` to `firsts[t + 1]`. */
  readonly bytes: Uint8Array;
  readonly firsts: Int32Array;
  /** Tokens that end a text. */
  readonly ends: readonly number[];
}

/** A vocabulary as masks are made from it, in flat arrays: see VocabularyIndex. */
export interface VocabularyTables {
  readonly vocabSize: number;
  readonly all: TrieTables;
  readonly others: TrieTables;
  readonly ends: readonly number[];
  /** The plain tokens of at most so many characters, by that number: sets as VocabularyIndex has them. */
  readonly plain: readonly Uint32Array[];
}

/** Plain tokens of more characters are treated like others. */
const MAX_PLAIN = 32;

/** Takes about half a second for 130,000 tokens. Tokens without bytes, and those that end a text, are no text. */
export function vocabularyTables({ bytes: all, firsts, ends }: Pieces): VocabularyTables {
  const vocabSize = firsts.length - 1;
  const words = Math.ceil(vocabSize / 32);
  const plain = Array.from({ length: MAX_PLAIN + 1 }, () => new Uint32Array(words));
  const texts: TokenBytes[] = [];
  const others = new Set<number>();
  const areEnds = new Set(ends);
  for (let token = 0; token < vocabSize; token++) {
    const bytes = all.subarray(firsts[token], firsts[token + 1]);
    if (bytes.length === 0 || areEnds.has(token)) continue;
    texts.push({ token, bytes });
    const length = plainLength(bytes);
    if (length > 0 && length <= MAX_PLAIN) plain[length]![token >>> 5]! |= 1 << (token & 31);
    else others.add(token);
  }
  for (let length = 1; length <= MAX_PLAIN; length++) {
    for (let word = 0; word < words; word++) plain[length]![word]! |= plain[length - 1]![word]!;
  }
  const sorted = sortedByBytes(texts);
  return {
    vocabSize,
    all: trieTables(sorted),
    others: trieTables(sorted.filter(({ token }) => others.has(token))),
    ends,
    plain,
  };
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Characters of a plain token; 0 for others. See VocabularyIndex; the characters are those of plain-run.ts. */
function plainLength(bytes: Uint8Array): number {
  let isAscii = true;
  for (const byte of bytes) {
    if (byte < 0x20 || byte === 0x22 || byte === 0x5c) return 0;
    isAscii &&= byte < 0x80;
  }
  if (isAscii) return bytes.length;
  try {
    const text = decoder.decode(bytes);
    return /[\u2028\u2029]/.test(text) ? 0 : [...text].length;
  } catch {
    return 0;
  }
}
