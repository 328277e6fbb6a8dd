/**
 * What one model's headers may contain, all parts of a split model together. Far above any real model, far below harm.
 */
export const LIMITS = {
  /** Bytes of a string: the largest real ones are chat templates and serialised tokenizers. */
  stringBytes: 1e7,
  /** Bytes of a key or a tensor's name: the GGUF specification's bound for keys. */
  nameBytes: 65_535,
  /** Values of one array: the largest real ones are merges of about 450 000. */
  arrayValues: 4e6,
  keys: 1e5,
  tensors: 1e5,
  /** ggml has no more. */
  dims: 4,
  /** Arrays within arrays. */
  nesting: 4,
  headerBytes: 512 * 2 ** 20,
  /** Strings and booleans in arrays: each costs JavaScript several times its bytes in the file. */
  arrayItems: 8e6,
  arrays: 1e5,
  /** general.alignment. */
  alignment: 2 ** 20,
  /** Parts of a split model, each an open file. */
  parts: 256,
} as const;

type Counted = 'keys' | 'tensors' | 'headerBytes' | 'arrayItems' | 'arrays';

/** What is left of the limits that count over all parts of a model. */
export class HeaderBudget {
  readonly #left: Record<Counted, number> = {
    keys: LIMITS.keys,
    tensors: LIMITS.tensors,
    headerBytes: LIMITS.headerBytes,
    arrayItems: LIMITS.arrayItems,
    arrays: LIMITS.arrays,
  };

  left(what: Counted): number {
    return this.#left[what];
  }

  /** Takes `amount`; false, taking nothing, when that is more than is left. */
  spend(what: Counted, amount: number): boolean {
    if (amount > this.#left[what]) return false;
    this.#left[what] -= amount;
    return true;
  }
}
