import { StarlingError } from '../../../daemon/errors.ts';

/** A run of text, or the id of a special token that stood there. */
export type Fragment = string | number;

/** UTF-16 units of a text from the first up to the second. Lists of them are in order, and none overlaps another. */
export type TextRange = readonly [start: number, end: number];

export interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Not recognised where its text, or a part of it, was typed by a user. */
  readonly guarded?: boolean;
}

interface TrieNode {
  readonly children: Map<number, TrieNode>;
  /** Index into the list of special tokens that ends here, or -1. */
  index: number;
}

/** Every position of a text is compared with special tokens up to this length. */
const MAX_SPECIAL_LENGTH = 1024;

/**
 * Finds special tokens in text as llama.cpp does: the longest token claims all its occurrences first (left to right),
 * then the next longest in what is left.
 */
export class SpecialTokens {
  /** Longest (in UTF-8) first, equal lengths by id. */
  readonly #tokens: readonly SpecialToken[];
  readonly #root: TrieNode = { children: new Map(), index: -1 };

  /** @throws StarlingError model_invalid for a special token of more than 1024 characters */
  constructor(tokens: readonly SpecialToken[]) {
    this.#tokens = tokens
      .map((token) => ({ ...token, bytes: Buffer.byteLength(token.text) }))
      .sort((a, b) => b.bytes - a.bytes || a.id - b.id);
    this.#tokens.forEach(({ id, text }, index) => {
      if (text.length > MAX_SPECIAL_LENGTH) {
        throw new StarlingError(
          'model_invalid',
          `special token ${id} has ${text.length} characters, more than ${MAX_SPECIAL_LENGTH}; the model file is damaged`,
          { param: 'tokenizer.ggml.tokens' },
        );
      }
      let node = this.#root;
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        let child = node.children.get(unit);
        if (child === undefined) {
          child = { children: new Map(), index: -1 };
          node.children.set(unit, child);
        }
        node = child;
      }
      if (node.index < 0) node.index = index;
    });
  }

  /**
   * Cuts text into runs and special tokens, in order; no run is empty.
   * @param typed what users wrote of it
   */
  partition(text: string, typed: readonly TextRange[] = []): Fragment[] {
    let pieces: Piece[] = text === '' ? [] : [{ start: 0, end: text.length }];
    // thousands of special tokens are usual, and few occur in one text
    for (const index of this.#present(text)) {
      const token = this.#tokens[index] as SpecialToken;
      const isAllowed = (start: number): boolean =>
        token.guarded !== true || !overlaps(typed, start, start + token.text.length);
      pieces = pieces.flatMap((piece) => (typeof piece === 'number' ? piece : splitBy(text, piece, token, isAllowed)));
    }
    return pieces.map((piece) => (typeof piece === 'number' ? piece : text.slice(piece.start, piece.end)));
  }

  /** Indices of the special tokens that occur anywhere, ascending. */
  #present(text: string): number[] {
    const found = new Set<number>();
    for (let start = 0; start < text.length; start++) {
      let node = this.#root.children.get(text.charCodeAt(start));
      for (let i = start + 1; node !== undefined; i++) {
        if (node.index >= 0) found.add(node.index);
        if (i >= text.length) break;
        node = node.children.get(text.charCodeAt(i));
      }
    }
    return [...found].sort((a, b) => a - b);
  }
}

/** A run of the text, or the id of a special token. */
type Piece = { readonly start: number; readonly end: number } | number;

function splitBy(
  text: string,
  { start, end }: { readonly start: number; readonly end: number },
  token: SpecialToken,
  isAllowed: (at: number) => boolean,
): Piece[] {
  const pieces: Piece[] = [];
  const { length } = token.text;
  let from = start;
  for (let at = text.indexOf(token.text, from); at >= 0 && at + length <= end; ) {
    if (!isAllowed(at)) {
      at = text.indexOf(token.text, at + 1);
      continue;
    }
    if (at > from) pieces.push({ start: from, end: at });
    pieces.push(token.id);
    from = at + length;
    at = text.indexOf(token.text, from);
  }
  if (from < end) pieces.push({ start: from, end });
  return pieces;
}

/** Whether any of the ranges shares a unit with another; they are searched by halves. */
function overlaps(ranges: readonly TextRange[], start: number, end: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]![1] <= start) low = middle + 1;
    else high = middle;
  }
  const range = ranges[low];
  return range !== undefined && range[0] < end;
}
