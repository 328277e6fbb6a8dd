/**
 * How the hidden states of a text's tokens become one vector: their mean, or the last one, which alone has seen all of
 * the text.
 */
export type Pooling = 'mean' | 'last';

/** Takes in a text's hidden states as they are computed; keeps a single vector. */
export class Pool {
  readonly #pooling: Pooling;
  #pooled = new Float64Array(0);

  constructor(pooling: Pooling) {
    this.#pooling = pooling;
  }

  /**
   * Every token's for a mean, in order, so that how they come together changes no bit; the last token's otherwise.
   * @param state f32 [dim]; not kept
   */
  add(state: Float32Array): void {
    if (this.#pooling === 'last' || this.#pooled.length === 0) {
      this.#pooled = Float64Array.from(state);
      return;
    }
    for (let i = 0; i < state.length; i++) this.#pooled[i]! += state[i]!;
  }

  /** The embedding: f32 of `dimensions` values and length 1. A sum has the direction of its mean. */
  embedding(dimensions: number): Float32Array {
    return normalised(this.#pooled.subarray(0, dimensions));
  }
}

/** values / √(Σ values²); zeros stay zeros. */
function normalised(values: Float64Array): Float32Array {
  let squares = 0;
  for (const value of values) squares += value * value;
  const length = Math.sqrt(squares);
  return Float32Array.from(values, (value) => (length === 0 ? 0 : value / length));
}
