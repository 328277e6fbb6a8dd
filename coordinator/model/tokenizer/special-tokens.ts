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
  /** White space after it goes. */
  readonly stripsAfter?: boolean;
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
    const counts = new Map<number, number>();
    this.#find(text, (index) => counts.set(index, (counts.get(index) ?? 0) + 1));
    if (counts.size === 0) return text === '' ? [] : [text];
    const places = new Map([...counts].map(([index, count]) => [index, new Int32Array(count)]));
    this.#find(text, (index, at) => {
      const left = counts.get(index) as number;
      const all = places.get(index) as Int32Array;
      all[all.length - left] = at;
      counts.set(index, left - 1);
    });
    /** By unit: 0 is text; 1 belongs to a token, or is dropped after one; more is where token n - 2 begins. */
    const owner = new Int32Array(text.length);
    for (const index of [...places.keys()].sort((a, b) => a - b)) {
      const token = this.#tokens[index] as SpecialToken;
      for (const at of places.get(index) as Int32Array) {
        const end = at + token.text.length;
        // what has been claimed is not shorter, so it holds an end of whatever it overlaps
        if (owner[at] !== 0 || owner[end - 1] !== 0) continue;
        if (token.guarded === true && overlaps(typed, at, end)) continue;
        owner.fill(1, at, end);
        owner[at] = index + 2;
        if (token.stripsAfter !== true) continue;
        for (let i = end; i < text.length && owner[i] === 0 && isSpace(text.charCodeAt(i)); i++) owner[i] = 1;
      }
    }
    return this.#fragments(text, owner);
  }

  #fragments(text: string, owner: Int32Array): Fragment[] {
    const fragments: Fragment[] = [];
    for (let at = 0; at < text.length; ) {
      const start = at;
      const kind = owner[at++] as number;
      if (kind === 0) {
        while (at < text.length && owner[at] === 0) at++;
        fragments.push(text.slice(start, at));
      } else if (kind > 1) {
        fragments.push((this.#tokens[kind - 2] as SpecialToken).id);
      }
    }
    return fragments;
  }

  /** Calls back wherever a special token stands, overlapping or not, left to right. */
  #find(text: string, found: (index: number, at: number) => void): void {
    for (let at = 0; at < text.length; at++) {
      let node = this.#root.children.get(text.charCodeAt(at));
      for (let i = at + 1; node !== undefined; i++) {
        if (node.index >= 0) found(node.index, at);
        if (i >= text.length) break;
        node = node.children.get(text.charCodeAt(i));
      }
    }
  }
}

/** C's isspace. */
function isSpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
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
