import { StarlingError } from '../../daemon/errors.ts';
import type { EmbeddingForm } from '../model/embedding-form.ts';
import type { Standing } from './events.ts';
import { Pool, type Pooling } from './pooling.ts';

export interface EmbeddingOptions {
  /** Null for the model's own, or else the last token's. */
  readonly pooling: Pooling | null;
  /** How many of an embedding's first values to keep; null for all. */
  readonly dimensions: number | null;
  readonly standing: Standing;
}

export interface Embeddings {
  /** Of each input: f32, of length 1. */
  readonly vectors: readonly Float32Array[];
  /** Tokens of all inputs together, */
  readonly promptTokens: number;
  /** and those of them that had been computed before. */
  readonly cachedTokens: number;
}

/** A text whose embedding is made. */
export class EmbeddingText {
  readonly tokens: readonly number[];
  readonly pooling: Pooling;
  readonly #dimensions: number;
  readonly #pool: Pool;
  #vector: Float32Array | null = null;
  cachedTokens = 0;

  constructor(tokens: readonly number[], pooling: Pooling, dimensions: number) {
    this.tokens = tokens;
    this.pooling = pooling;
    this.#dimensions = dimensions;
    this.#pool = new Pool(pooling);
  }

  /** @param states f32 [dim] of its next tokens, in order: of all for a mean, else of the last */
  take(states: readonly Float32Array[]): void {
    for (const state of states) this.#pool.add(state);
  }

  /** All of it has been computed. */
  finish(cachedTokens: number): void {
    this.cachedTokens = cachedTokens;
    this.#vector = this.#pool.embedding(this.#dimensions);
  }

  get vector(): Float32Array {
    if (this.#vector === null) throw new StarlingError('internal', 'an embedding was asked for before it was computed');
    return this.#vector;
  }
}

/** What an embedding is made of, where the request does not say. @throws StarlingError unsupported_parameter */
export function poolingOf({ pooling }: EmbeddingForm, wanted: Pooling | null): Pooling {
  if (wanted !== null) return wanted;
  if (pooling === 'other') {
    throw new StarlingError(
      'unsupported_parameter',
      'the model file asks for a pooling that is not done here; ask for "mean" or "last"',
      { param: 'pooling' },
    );
  }
  return pooling ?? 'last';
}

/** @throws StarlingError invalid_request */
export function checkDimensions(dimensions: number, dim: number): void {
  if (Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= dim) return;
  throw new StarlingError(
    'invalid_request',
    `dimensions is ${dimensions}, but embeddings of this model have ${dim} values; ask for 1 to ${dim}`,
    { param: 'dimensions' },
  );
}

/**
 * Token ids of a text with the end that the model wants after it.
 * @param tokens of the text
 */
export function withEnd(tokens: readonly number[], { end }: EmbeddingForm): readonly number[] {
  return end === null || tokens.at(-1) === end ? tokens : [...tokens, end];
}

/** @throws StarlingError invalid_request for no inputs, or an empty one */
export function checkInputs(inputs: readonly (string | readonly number[])[]): void {
  const empty = inputs.findIndex(({ length }) => length === 0);
  if (inputs.length > 0 && empty < 0) return;
  const what = inputs.length === 0 ? 'there is no input' : `input ${empty} is empty`;
  throw new StarlingError('invalid_request', `${what}; send some text`, { param: 'input' });
}

/** @throws StarlingError context_length_exceeded */
export function checkInputLength(tokens: number, index: number, contextLength: number): void {
  if (tokens <= contextLength) return;
  throw new StarlingError(
    'context_length_exceeded',
    `input ${index} has ${tokens} tokens, but the context of this model holds ${contextLength}; shorten it`,
    { param: 'input' },
  );
}
