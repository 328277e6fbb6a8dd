/** Consecutive positions of one sequence in a step. */
export interface SequenceRows {
  /** Token ids, at least one. */
  readonly tokens: readonly number[];
  /** Of the first of them. */
  readonly position: number;
  /** Ids of the sequence's KV pages for positions 0, KV_PAGE, …, at least up to the last row. */
  readonly pages: readonly number[];
  /** After how many of the last rows logits are wanted. */
  readonly logits: number;
  /** Of how many of the last rows the hidden state is wanted: what the head makes logits of; none by default. */
  readonly hidden?: number;
}

/**
 * The model as computed by the whole cluster: token ids in, logits or hidden states out. Who owns which KV page is the
 * caller's affair.
 */
export interface LanguageModel {
  readonly vocabSize: number;
  /** Values of a hidden state. */
  readonly dim: number;
  /** Most positions of one sequence. */
  readonly contextLength: number;
  /** KV pages for all sequences together, with ids from 0 on. */
  readonly kvPages: number;
  /**
   * Computes rows of several sequences in one pass over the weights. A row's bits do not depend on the others.
   * @param batch at most MAX_ROWS rows in all
   * @returns of each sequence the hidden states (f32, dim; after the model's last norm), then the logits (f32,
   * vocabSize) of its wanted rows, in order; valid until the next call
   * @throws StarlingError device_lost, numeric_overflow, cancelled (when `signal` aborts, between two phases)
   */
  step(batch: readonly SequenceRows[], signal?: AbortSignal): Promise<Float32Array[]>;
}
