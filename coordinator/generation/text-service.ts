import { StarlingError } from '../../daemon/errors.ts';
import { opensReasoning, type ReasoningForm } from '../model/reasoning-marks.ts';
import type { EndRules } from './answer.ts';
import type { Reasoning } from './answer-parts.ts';
import { choiceSeed } from './counter-random.ts';
import type { GenerationEvent, Standing } from './events.ts';
import { Generator, type GeneratorOptions } from './generator.ts';
import { checkPromptLength } from './prompt-length.ts';
import type { SamplingOptions } from './sampler.ts';
import type { GenerationStatistics } from './statistics.ts';
import {
  type ChatMessage,
  type ChatRenderer,
  decodeTokens,
  encodePrompt,
  type TextCodec,
  tokenText,
} from './text-codec.ts';

/** How to generate, whatever the prompt. */
export interface TextSettings {
  /** Most tokens of each choice; null for as many as the context holds. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  /** Which tokens may end an answer, and when; the model's own at any time by default. */
  readonly ends?: EndRules;
  /** How many of the likeliest tokens to list with each token; null for no log probabilities. */
  readonly logprobs: number | null;
  /** Answers to each prompt, with seeds derived from the one given. */
  readonly choices: number;
  readonly standing: Standing;
}

/** The request is valid and has its place in the queue. */
export interface AcceptedEvent {
  readonly type: 'accepted';
  /** Tokens of all prompts together. */
  readonly promptTokens: number;
}

/**
 * What happens to a text request: one `accepted`, then the tokens and the ends of all choices, those of different choices in any
 * order. The choice numbered `prompt · settings.choices + i` is the i-th answer to that prompt.
 */
export type TextEvent = AcceptedEvent | GenerationEvent;

export interface TextServiceOptions extends GeneratorOptions {
  readonly modelId: string;
  /** When the model was put into service, in seconds since 1970. */
  readonly created: number;
  readonly template: ChatRenderer;
  /** How the model marks its reasoning; by default it has none. */
  readonly reasoning?: ReasoningForm | null;
}

export interface ChatOptions {
  /** Further variables for the chat template. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Reasoning stays in the answer, with its marks. */
  readonly keepsReasoning?: boolean;
}

/** Text in, text out: joins the chat template, the tokenizer and the generator. */
export class TextService {
  readonly modelId: string;
  readonly created: number;
  readonly contextLength: number;
  readonly #vocabSize: number;
  readonly #codec: TextCodec;
  readonly #template: ChatRenderer;
  readonly #reasoning: ReasoningForm | null;
  readonly #generator: Generator;

  constructor(options: TextServiceOptions) {
    this.modelId = options.modelId;
    this.created = options.created;
    this.contextLength = options.model.contextLength;
    this.#vocabSize = options.model.vocabSize;
    this.#codec = options.codec;
    this.#template = options.template;
    this.#reasoning = options.reasoning ?? null;
    this.#generator = new Generator(options);
  }

  /** Requests of which nothing has been computed yet, and the others. */
  get load(): { readonly waiting: number; readonly running: number } {
    return this.#generator.load;
  }

  /** As of Generator: how much work is worth having under way. */
  get mostRunning(): number {
    return this.#generator.mostRunning;
  }

  get statistics(): GenerationStatistics {
    return this.#generator.statistics;
  }

  /**
   * Answers a conversation. Nothing happens before the first `next()`; from then on the caller must take the events to
   * the end, call `return()`, or abort: an answer that nobody takes keeps its place.
   * @throws StarlingError template_invalid, template_failed; what Generator.submit throws, and its events
   */
  async *chat(
    messages: readonly ChatMessage[],
    settings: TextSettings,
    signal?: AbortSignal,
    { variables = {}, keepsReasoning = false }: ChatOptions = {},
  ): AsyncGenerator<TextEvent, void, undefined> {
    const prompt = await this.#template.render(messages, {
      addGenerationPrompt: true,
      variables,
      ...(signal === undefined ? {} : { signal }),
    });
    const form = keepsReasoning ? null : this.#reasoning;
    const reasoning = form === null ? undefined : { form, opened: opensReasoning(form, prompt) };
    yield* this.#answer(
      [encodePrompt(this.#codec, prompt.text, prompt.typed)],
      'messages',
      settings,
      signal,
      reasoning,
    );
  }

  /**
   * Continues each of the prompts, given as text or as token ids. The caller's duties are those of `chat`.
   * @throws StarlingError invalid_request for token ids outside the vocabulary; otherwise as `chat`
   */
  async *complete(
    prompts: readonly (string | readonly number[])[],
    settings: TextSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<TextEvent, void, undefined> {
    const encoded = prompts.map((prompt) =>
      typeof prompt === 'string' ? encodePrompt(this.#codec, prompt) : this.#checked(prompt),
    );
    yield* this.#answer(encoded, 'prompt', settings, signal);
  }

  /** The text of a prompt as it is echoed. */
  promptText(prompt: string | readonly number[]): string {
    return typeof prompt === 'string' ? prompt : decodeTokens(this.#codec, this.#checked(prompt));
  }

  /** One token by itself: its text (with U+FFFD for partial characters) and its bytes. */
  describeToken(token: number): { readonly text: string; readonly bytes: Uint8Array } {
    return { text: tokenText(this.#codec, token), bytes: this.#codec.pieceBytes(token) };
  }

  /** Refuses all requests that wait and all that come later. Abort their signals to end those that run. */
  stop(): void {
    this.#generator.stop();
  }

  async *#answer(
    prompts: readonly (readonly number[])[],
    param: string,
    settings: TextSettings,
    signal: AbortSignal | undefined,
    reasoning?: Reasoning,
  ): AsyncGenerator<TextEvent, void, undefined> {
    for (const prompt of prompts) checkPromptLength(prompt.length, this.contextLength, param);
    const requests = prompts.flatMap((promptTokens) =>
      Array.from({ length: settings.choices }, (_, i) => ({
        promptTokens,
        maxTokens: settings.maxTokens,
        sampling: { ...settings.sampling, seed: choiceSeed(settings.sampling.seed, i) },
        stop: settings.stop,
        ...(settings.ends === undefined ? {} : { ends: settings.ends }),
        ...(reasoning === undefined ? {} : { reasoning }),
        logprobs: settings.logprobs,
      })),
    );
    const events = this.#generator.submit(requests, settings.standing, signal);
    try {
      yield { type: 'accepted', promptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0) };
      yield* events;
    } finally {
      await events.return();
    }
  }

  #checked(tokens: readonly number[]): readonly number[] {
    for (const token of tokens) {
      if (token < 0 || token >= this.#vocabSize) {
        throw new StarlingError(
          'invalid_request',
          `token id ${token} is outside this model's vocabulary, which is 0 to ${this.#vocabSize - 1}`,
          { param: 'prompt' },
        );
      }
    }
    return tokens;
  }
}
