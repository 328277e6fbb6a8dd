import { StarlingError } from '../../../daemon/errors.ts';

/** A run of text, or the id of a special token that stood there. */
export type Fragment = string | number;

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
  readonly #tokens: readonly { readonly id: number; readonly text: string }[];
  readonly #root: TrieNode = { children: new Map(), index: -1 };

  /** @throws StarlingError model_invalid for a special token of more than 1024 characters */
  constructor(tokens: readonly { readonly id: number; readonly text: string }[]) {
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

  /** Cuts text into runs and special tokens, in order; no run is empty. */
  partition(text: string): Fragment[] {
    let fragments: Fragment[] = text === '' ? [] : [text];
    // thousands of special tokens are usual, and few occur in one text
    for (const index of this.#present(text)) {
      const token = this.#tokens[index] as { id: number; text: string };
      fragments = fragments.flatMap((fragment) =>
        typeof fragment === 'string' ? splitBy(fragment, token.text, token.id) : fragment,
      );
    }
    return fragments;
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

function splitBy(text: string, special: string, id: number): Fragment[] {
  const fragments: Fragment[] = [];
  let start = 0;
  for (let at = text.indexOf(special); at >= 0; at = text.indexOf(special, start)) {
    if (at > start) fragments.push(text.slice(start, at));
    fragments.push(id);
    start = at + special.length;
  }
  if (start < text.length) fragments.push(text.slice(start));
  return fragments;
}
