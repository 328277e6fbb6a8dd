/**
 * The ranked merges of a byte-level BPE vocabulary over symbol numbers: a token's id, or a number above all ids for a
 * piece that merges go through without being a token. Open addressing over typed arrays: a Map of 128,000 pairs costs
 * ten times the memory.
 */
export class MergeTable {
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #result: Int32Array;
  /** Rank + 1 by hash slot; 0 is free. */
  readonly #slots: Int32Array;
  readonly #pieces: string[] = [];
  readonly #vocabSize: number;
  /** Pieces that are no tokens, by text. */
  readonly extraSymbols: ReadonlyMap<string, number>;

  /**
   * @param merges "left right", best first, each with a space after its first character
   * @param ids token ids by text
   * @param vocabSize every id is below this
   */
  constructor(merges: readonly string[], ids: ReadonlyMap<string, number>, vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#left = new Int32Array(merges.length);
    this.#right = new Int32Array(merges.length);
    this.#result = new Int32Array(merges.length);
    let slots = 16;
    while (slots < merges.length * 2) slots *= 2;
    this.#slots = new Int32Array(slots);
    const extra = new Map<string, number>();
    const symbolOf = (piece: string): number => {
      const known = ids.get(piece) ?? extra.get(piece);
      if (known !== undefined) return known;
      const symbol = vocabSize + this.#pieces.length;
      extra.set(piece, symbol);
      this.#pieces.push(piece);
      return symbol;
    };
    for (let rank = 0; rank < merges.length; rank++) {
      const merge = merges[rank] as string;
      const space = merge.indexOf(' ', 1);
      const left = merge.slice(0, space);
      const right = merge.slice(space + 1);
      this.#left[rank] = symbolOf(left);
      this.#right[rank] = symbolOf(right);
      this.#result[rank] = symbolOf(left + right);
      this.#insert(rank);
    }
    this.extraSymbols = extra;
  }

  /** Rank of merging two neighbours, or -1. */
  rank(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash(left, right) & mask; ; slot = (slot + 1) & mask) {
      const rank = (this.#slots[slot] as number) - 1;
      if (rank < 0 || (this.#left[rank] === left && this.#right[rank] === right)) return rank;
    }
  }

  /** The symbol that the merge of this rank makes. */
  result(rank: number): number {
    return this.#result[rank] as number;
  }

  /** Text of a symbol that is no token. */
  pieceOf(symbol: number): string {
    return this.#pieces[symbol - this.#vocabSize] ?? '';
  }

  #insert(rank: number): void {
    const left = this.#left[rank] as number;
    const right = this.#right[rank] as number;
    const mask = this.#slots.length - 1;
    for (let slot = hash(left, right) & mask; ; slot = (slot + 1) & mask) {
      const taken = (this.#slots[slot] as number) - 1;
      if (taken < 0) {
        this.#slots[slot] = rank + 1;
        return;
      }
      // the better rank of a pair listed twice is the one that counts
      if (this.#left[taken] === left && this.#right[taken] === right) return;
    }
  }
}

function hash(left: number, right: number): number {
  const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
