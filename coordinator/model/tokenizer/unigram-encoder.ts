import { StarlingError } from '../../../daemon/errors.ts';
import { CharacterMap } from './character-map.ts';
import { SPACE_MARK } from './sentencepiece-encoder.ts';
import { TokenType, type Vocabulary } from './vocabulary.ts';

/** What a character that no token holds costs, below the least score of all tokens (SentencePiece). */
const UNKNOWN_PENALTY = 10;

/**
 * SentencePiece Unigram: of all ways to write a text with tokens, the one with the greatest sum of scores (Kudo,
 * "Subword Regularization", 2018), found by dynamic programming from left to right (Viterbi).
 */
export class UnigramEncoder {
  readonly #tokens: readonly string[];
  /** Ids of the tokens that text is written with, in order of their texts. */
  readonly #sorted: Int32Array;
  /** By id. Tokens that a user has defined are as good as can be. */
  readonly #scores: Float64Array;
  readonly #unknown: number;
  readonly #unknownScore: number;
  readonly #map: CharacterMap | null;
  readonly #mergesSpaces: boolean;

  /** @param types one a token. @throws StarlingError model_invalid when no token stands for unknown characters */
  constructor(vocabulary: Vocabulary, types: Uint8Array) {
    const { tokens, scores, unk, characterMap, removeExtraSpaces } = vocabulary;
    if (unk === null) {
      throw new StarlingError(
        'model_invalid',
        'tokenizer.ggml.unknown_token_id is missing, so some texts cannot be written; the model file is damaged or badly converted',
        { param: 'tokenizer.ggml.unknown_token_id' },
      );
    }
    this.#tokens = tokens;
    this.#unknown = unk;
    this.#map = characterMap === null ? null : new CharacterMap(characterMap);
    this.#mergesSpaces = removeExtraSpaces;
    const written: readonly number[] = [TokenType.normal, TokenType.userDefined, TokenType.unused];
    // of equal texts the last counts
    const byText = new Map(
      tokens
        .map((text, id) => [text, id] as const)
        .filter(([text, id]) => text !== '' && written.includes(types[id] as number)),
    );
    const ids = [...byText.values()];
    this.#sorted = Int32Array.from(ids).sort((a, b) => compare(tokens[a] as string, tokens[b] as string));
    this.#scores = Float64Array.from(tokens, (_, id) =>
      types[id] === TokenType.userDefined ? 0 : (scores?.[id] ?? 0),
    );
    const least = ids.reduce(
      (min, id) => (types[id] === TokenType.normal ? Math.min(min, scores?.[id] ?? 0) : min),
      Number.MAX_VALUE,
    );
    this.#unknownScore = least - UNKNOWN_PENALTY;
  }

  /** Appends the ids of a text without special tokens. @param spacePrefix put a space before the first word */
  encode(text: string, spacePrefix: boolean, out: number[]): void {
    const normal = this.#normalize(text, spacePrefix);
    const n = normal.length;
    if (n === 0) return;
    /** Of the best way to write the text up to each place: its score, its last token, and where that begins. */
    const score = new Float64Array(n + 1).fill(Number.NEGATIVE_INFINITY);
    const last = new Int32Array(n + 1).fill(this.#unknown);
    const before = new Int32Array(n + 1);
    const offer = (from: number, to: number, token: number, gain: number): void => {
      const sum = (score[from] as number) + gain;
      if (sum <= (score[to] as number)) return;
      score[to] = sum;
      last[to] = token;
      before[to] = from;
    };
    score[0] = 0;
    for (let at = 0; at < n; ) {
      const next = at + ((normal.codePointAt(at) as number) >= 0x10000 ? 2 : 1);
      let isKnown = false;
      this.#prefixes(normal, at, (end, token) => {
        isKnown ||= end === next;
        offer(at, end, token, this.#scores[token] as number);
      });
      if (!isKnown) offer(at, next, this.#unknown, this.#unknownScore);
      at = next;
    }
    const ids: number[] = [];
    for (let at = n; at > 0; at = before[at] as number) {
      const token = last[at] as number;
      // a run of unknown characters is one token
      if (token !== this.#unknown || ids.at(-1) !== token) ids.push(token);
    }
    for (let i = ids.length - 1; i >= 0; i--) out.push(ids[i] as number);
  }

  /** Replaces characters by the model's rules and writes spaces as the vocabulary does. */
  #normalize(text: string, spacePrefix: boolean): string {
    const mapped = this.#map === null ? text : this.#map.apply(text);
    if (this.#mergesSpaces) {
      // every word has a mark, the first one too
      return mapped.split(' ').reduce((all, word) => (word === '' ? all : `${all}${SPACE_MARK}${word}`), '');
    }
    const prefixed = spacePrefix ? mapped.replace(/[^ ]/u, ' $&') : mapped;
    return prefixed.replaceAll(' ', SPACE_MARK);
  }

  /** Calls back for each token that the text goes on with at a place, shortest first. */
  #prefixes(text: string, start: number, found: (end: number, token: number) => void): void {
    const sorted = this.#sorted;
    const unitOf = (i: number, depth: number): number => {
      const token = this.#tokens[sorted[i] as number] as string;
      return depth < token.length ? token.charCodeAt(depth) : -1;
    };
    /** First of the range whose unit at a depth is at least this. */
    const firstFrom = (low: number, high: number, depth: number, unit: number): number => {
      while (low < high) {
        const middle = (low + high) >> 1;
        if (unitOf(middle, depth) < unit) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    let low = 0;
    let high = sorted.length;
    for (let depth = 0; start + depth < text.length && low < high; depth++) {
      const unit = text.charCodeAt(start + depth);
      low = firstFrom(low, high, depth, unit);
      high = firstFrom(low, high, depth, unit + 1);
      // the shortest text comes first
      if (low < high && unitOf(low, depth + 1) < 0) found(start + depth + 1, sorted[low] as number);
    }
  }
}

/** By UTF-16 units. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
