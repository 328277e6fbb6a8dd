/** Lengths of the endings that are looked up, the most telling first. */
const LENGTHS = [4, 3, 2] as const;

/**
 * Prompt-lookup drafting (Saxena 2023): where the text's last tokens have occurred before, what followed them then is a
 * guess at what follows now. It costs no model and pays where answers repeat: code, lists, quotations.
 */
export class PromptLookup {
  /** Where each run of tokens, of each length, ended last: the position after it. */
  readonly #ends = LENGTHS.map(() => new Map<string, number>());
  #indexed = 0;

  /**
   * @param tokens the text so far; grows from call to call
   * @returns up to `most` tokens that may follow it; none when its ending is new
   */
  guess(tokens: readonly number[], most: number): number[] {
    this.#index(tokens);
    for (const [i, length] of LENGTHS.entries()) {
      if (tokens.length <= length) continue;
      const at = this.#ends[i]!.get(runKey(tokens, tokens.length, length));
      if (at === undefined) continue;
      const guess: number[] = [];
      // The ending may overlap what it repeats: then the guess repeats itself.
      while (guess.length < most) guess.push(tokens[at + guess.length] ?? guess[at + guess.length - tokens.length]!);
      return guess;
    }
    return [];
  }

  /** Takes up what is new, but for the runs that end the text: those are to be found elsewhere. */
  #index(tokens: readonly number[]): void {
    for (let end = this.#indexed + 1; end < tokens.length; end++) {
      for (const [i, length] of LENGTHS.entries()) {
        if (end >= length) this.#ends[i]!.set(runKey(tokens, end, length), end);
      }
      this.#indexed = end;
    }
  }
}

function runKey(tokens: readonly number[], end: number, length: number): string {
  let key = '';
  for (let i = end - length; i < end; i++) key += String.fromCharCode(tokens[i]! & 0xffff, tokens[i]! >>> 16);
  return key;
}
