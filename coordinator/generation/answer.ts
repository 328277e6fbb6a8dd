import { type LogProbabilities, logprobs } from './log-probabilities.ts';
import { type SamplingOptions, sample } from './sampler.ts';
import { StopSequences } from './stop-sequences.ts';
import type { StreamingDetokenizer, TextCodec } from './text-codec.ts';

export interface GenerationRequest {
  readonly promptTokens: readonly number[];
  /** Most tokens to generate; null for as many as the context holds. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
  /** How many of the likeliest tokens to list with each token; null for no log probabilities at all. */
  readonly logprobs: number | null;
  /** Sees the logits (valid during the call only) that the `step`-th token is drawn from; 0 follows the prompt. */
  readonly onLogits?: (logits: Float32Array, step: number) => void;
}

export type FinishReason = 'stop' | 'length';

export interface TokenEvent {
  readonly type: 'token';
  readonly token: number;
  /** Text that is now certain: empty while a character or a possible stop sequence is incomplete. */
  readonly text: string;
  readonly logprobs?: LogProbabilities;
}

/** What a token came to. */
export interface Drawn {
  readonly token: number;
  /** Null for the token that ends the text. */
  readonly event: TokenEvent | null;
  /** The text is over; `text` had been held back and belongs to it after all. */
  readonly end: { readonly finishReason: FinishReason; readonly text: string } | null;
}

/** One text that is being made, apart from when and how its logits are computed: draws, detokenises, stops. */
export class Answer {
  readonly request: GenerationRequest;
  /** Most tokens, that the context holds. */
  readonly maxTokens: number;
  #completionTokens = 0;
  readonly #codec: TextCodec;
  readonly #detokenizer: StreamingDetokenizer;
  readonly #stops: StopSequences;
  readonly #generated = new Map<number, number>();

  constructor(request: GenerationRequest, codec: TextCodec, contextLength: number) {
    this.request = request;
    // The last token is drawn from the last position's logits and needs no position itself.
    const room = contextLength + 1 - request.promptTokens.length;
    this.maxTokens = Math.min(request.maxTokens ?? Number.POSITIVE_INFINITY, room);
    this.#codec = codec;
    this.#detokenizer = codec.createDetokenizer({ startOfText: false });
    this.#stops = new StopSequences(request.stop);
  }

  /** Tokens so far, without the one that ends the text. */
  get completionTokens(): number {
    return this.#completionTokens;
  }

  /** The token that would be drawn from these logits `ahead` places from the next one; nothing changes. */
  guess(logits: Float32Array, ahead: number): number {
    const { sampling, promptTokens } = this.request;
    return sample(logits, sampling, promptTokens.length + this.#completionTokens + ahead, this.#generated);
  }

  /**
   * Draws the next token.
   * @param logits after the last token; not kept
   * @throws StarlingError numeric_overflow when none of them is usable
   */
  take(logits: Float32Array): Drawn {
    const { request } = this;
    request.onLogits?.(logits, this.#completionTokens);
    const token = this.guess(logits, 0);
    if (this.#codec.isEndOfGeneration(token)) {
      return { token, event: null, end: { finishReason: 'stop', text: this.#heldBack() } };
    }
    this.#completionTokens++;
    this.#generated.set(token, (this.#generated.get(token) ?? 0) + 1);
    const { text, stopped } = this.#stops.push(this.#detokenizer.push(token));
    const event: TokenEvent = {
      type: 'token',
      token,
      text,
      ...(request.logprobs === null ? {} : { logprobs: logprobs(logits, token, request.logprobs) }),
    };
    if (stopped) return { token, event, end: { finishReason: 'stop', text: '' } };
    if (this.#completionTokens < this.maxTokens) return { token, event, end: null };
    return { token, event, end: { finishReason: 'length', text: this.#heldBack() } };
  }

  #heldBack(): string {
    const last = this.#stops.push(this.#detokenizer.flush());
    return last.stopped ? last.text : last.text + this.#stops.flush();
  }
}
