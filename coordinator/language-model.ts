/** One conversation's place in the KV caches of the cluster. */
export interface Sequence {
  /** Positions computed so far. */
  readonly length: number;
  /**
   * Computes the next positions.
   * @param tokens at least one token id; prefill is cut into row chunks inside
   * @returns the logits (f32, vocabSize) after the last token; valid until the next call
   * @throws StarlingError device_lost, numeric_overflow, cancelled (when `signal` aborts; takes effect within one step)
   */
  append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array>;
  /** Gives its KV pages back. */
  release(): void;
}

/** The model as computed by the whole cluster: token ids in, logits out. */
export interface LanguageModel {
  readonly vocabSize: number;
  /** Most positions of one sequence. */
  readonly contextLength: number;
  openSequence(): Sequence;
}
