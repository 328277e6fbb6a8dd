import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { LanguageModel, Sequence } from '../language-model.ts';
import { cancelledBy } from './cancellation.ts';
import { type LogProbabilities, logprobs } from './log-probabilities.ts';
import { type SamplingOptions, sample } from './sampler.ts';
import { StopSequences } from './stop-sequences.ts';
import type { TextCodec } from './text-codec.ts';

export interface GenerationRequest {
  readonly promptTokens: readonly number[];
  /** Most tokens to generate; null for as many as the context holds. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
  /** How many of the likeliest tokens to list with each token; null for no log probabilities at all. */
  readonly logprobs: number | null;
  /** Time spent waiting before, for the timings. */
  readonly queueMs?: number;
  /** Sees the logits (valid during the call only) that the `step`-th token is drawn from; 0 follows the prompt. */
  readonly onLogits?: (logits: Float32Array, step: number) => void;
}

export type FinishReason = 'stop' | 'length';

export interface GenerationUsage {
  readonly promptTokens: number;
  /** Tokens generated, without the end-of-generation token. */
  readonly completionTokens: number;
}

export interface GenerationTimings {
  readonly queueMs: number;
  readonly prefillMs: number;
  /** From the first logits to the end. */
  readonly decodeMs: number;
}

export interface TokenEvent {
  readonly type: 'token';
  readonly token: number;
  /** Text that is now certain: empty while a character or a possible stop sequence is incomplete. */
  readonly text: string;
  readonly logprobs?: LogProbabilities;
}

export interface EndEvent {
  readonly type: 'end';
  /** Text that had been held back and belongs to the answer after all. */
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly usage: GenerationUsage;
  readonly timings: GenerationTimings;
}

export type GenerationEvent = TokenEvent | EndEvent;

export interface GeneratorOptions {
  readonly model: LanguageModel;
  readonly codec: TextCodec;
  readonly log: Logger;
  /** Milliseconds from any origin. */
  readonly now?: () => number;
}

/**
 * Refuses prompts that cannot be computed.
 * @param param the request parameter that the prompt came from, for the error
 * @throws StarlingError context_length_exceeded
 */
export function checkPromptLength(promptTokens: number, contextLength: number, param = 'prompt'): void {
  if (promptTokens === 0) {
    throw new StarlingError(
      'context_length_exceeded',
      `the prompt has 0 tokens and the context holds 1 to ${contextLength}; send some text`,
      { param },
    );
  }
  if (promptTokens > contextLength) {
    throw new StarlingError(
      'context_length_exceeded',
      `the prompt has ${promptTokens} tokens, but the context of this model holds ${contextLength}; shorten it`,
      { param },
    );
  }
}

/** Makes text, token by token: prefill, sample, detokenise, stop. */
export class Generator {
  readonly #model: LanguageModel;
  readonly #codec: TextCodec;
  readonly #log: Logger;
  readonly #now: () => number;

  constructor(options: GeneratorOptions) {
    this.#model = options.model;
    this.#codec = options.codec;
    this.#log = options.log;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Generates one answer: token events, then one end event. The next token is computed when the consumer asks for it.
   * The sequence is released when the generator ends in any way: at its end, by an error, by `return()`.
   * @throws StarlingError context_length_exceeded; cancelled when `signal` aborts (within one step); what the model throws
   */
  async *generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    checkPromptLength(request.promptTokens.length, this.#model.contextLength);
    if (signal?.aborted) throw cancelledBy(signal);
    const sequence = this.#model.openSequence();
    try {
      yield* this.#run(sequence, request, signal);
    } catch (thrown) {
      // What the model throws for an abort says less than the reason that the signal carries.
      throw signal?.aborted ? cancelledBy(signal) : thrown;
    } finally {
      sequence.release();
    }
  }

  async *#run(
    sequence: Sequence,
    request: GenerationRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const detokenizer = this.#codec.createDetokenizer({ startOfText: false });
    const stops = new StopSequences(request.stop);
    const generated = new Map<number, number>();
    const promptTokens = request.promptTokens.length;
    const maxTokens = request.maxTokens ?? Number.POSITIVE_INFINITY;
    const started = this.#now();
    let prefilled = started;
    let completionTokens = 0;

    const end = (finishReason: FinishReason, text: string): EndEvent => {
      const timings = {
        queueMs: request.queueMs ?? 0,
        prefillMs: prefilled - started,
        decodeMs: this.#now() - prefilled,
      };
      this.#log.debug({ promptTokens, completionTokens, finishReason, ...timings }, 'generated');
      return { type: 'end', text, finishReason, usage: { promptTokens, completionTokens }, timings };
    };
    const heldBack = (): string => {
      const last = stops.push(detokenizer.flush());
      return last.stopped ? last.text : last.text + stops.flush();
    };

    if (maxTokens <= 0) {
      yield end('length', '');
      return;
    }
    let logits = await sequence.append(request.promptTokens, signal);
    prefilled = this.#now();
    for (;;) {
      if (signal?.aborted) throw cancelledBy(signal);
      request.onLogits?.(logits, completionTokens);
      const token = sample(logits, request.sampling, promptTokens + completionTokens, generated);
      if (this.#codec.isEndOfGeneration(token)) {
        yield end('stop', heldBack());
        return;
      }
      completionTokens++;
      generated.set(token, (generated.get(token) ?? 0) + 1);
      const { text, stopped } = stops.push(detokenizer.push(token));
      yield {
        type: 'token',
        token,
        text,
        ...(request.logprobs === null ? {} : { logprobs: logprobs(logits, token, request.logprobs) }),
      };
      if (stopped) {
        yield end('stop', '');
        return;
      }
      if (completionTokens >= maxTokens || sequence.length >= this.#model.contextLength) {
        yield end('length', heldBack());
        return;
      }
      if (signal?.aborted) throw cancelledBy(signal);
      logits = await sequence.append([token], signal);
    }
  }
}
