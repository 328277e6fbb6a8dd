import type { OutputFormat } from '../constraint/output-format.ts';
import type { EmbeddingForm } from '../model/embedding-form.ts';
import type { ReasoningForm } from '../model/reasoning-marks.ts';
import type { InfillTokens } from '../model/tokenizer/infill-tokens.ts';
import type { EndRules } from './answer.ts';
import type { Conversation } from './conversation.ts';
import {
  checkDimensions,
  checkInputLength,
  checkInputs,
  type EmbeddingOptions,
  type Embeddings,
  EmbeddingText,
  poolingOf,
  withEnd,
} from './embedding.ts';
import type { GenerationEvent, Standing } from './events.ts';
import { gapPrompt, type Prompt } from './fill-in-the-middle.ts';
import { generationRequests } from './generation-requests.ts';
import { Generator, type GeneratorOptions } from './generator.ts';
import { checkPromptLength } from './prompt-length.ts';
import {
  type AnswerForm,
  type ConversationReader,
  type ReadConversation,
  readConversation,
  toolUse,
} from './read-conversation.ts';
import type { SamplingOptions } from './sampler.ts';
import type { GenerationStatistics } from './statistics.ts';
import { type ChatRenderer, decodeTokens, encodePrompt, type TextCodec, tokenText } from './text-codec.ts';
import { checkTokenIds } from './token-ids.ts';
import { tokenOffsets } from './token-offsets.ts';
import type { NewCallId } from './tool-calls/call-events.ts';
import { callFormat } from './tool-calls/call-format.ts';
import type { ToolCallForm } from './tool-calls/known-families.ts';
import { randomCallId } from './tool-calls/random-call-id.ts';

/** How to generate, whatever the prompt. */
export interface TextSettings {
  /** Most tokens of each choice; null for as many as the context holds. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  /** Which tokens may end an answer, and when; the model's own at any time by default. */
  readonly ends?: EndRules;
  /** What each answer must look like, reasoning apart; anything by default. */
  readonly format?: OutputFormat;
  /** How many of the likeliest tokens to list with each token; null for no log probabilities. */
  readonly logprobs: number | null;
  /** The same for each token of a prompt but the first, with its first choice; none by default. */
  readonly promptLogProbs?: number | null;
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
 * What happens to a text request: one `accepted`, then the tokens and the ends of all choices, those of different
 * choices in any order. The choice numbered `prompt · settings.choices + i` is the i-th answer to that prompt.
 */
export type TextEvent = AcceptedEvent | GenerationEvent;

export interface TextServiceOptions extends GeneratorOptions {
  readonly modelId: string;
  /** When the model was put into service, in seconds since 1970. */
  readonly created: number;
  readonly template: ChatRenderer;
  /** How the model marks its reasoning; by default it has none. */
  readonly reasoning?: ReasoningForm | null;
  /** How it writes calls of tools; by default it cannot be offered any. */
  readonly toolCalls?: ToolCallForm | null;
  /** Random by default. */
  readonly newCallId?: NewCallId;
  /** What the model file says of embeddings; by default nothing. */
  readonly embedding?: EmbeddingForm;
  /** The tokens around a gap; by default it cannot be asked to fill in any. */
  readonly infill?: InfillTokens | null;
}

/** Text in, text out: joins the chat template, the tokenizer and the generator. */
export class TextService {
  readonly modelId: string;
  readonly created: number;
  readonly contextLength: number;
  readonly #vocabSize: number;
  readonly #dim: number;
  readonly #codec: TextCodec;
  readonly #reader: ConversationReader;
  readonly #embedding: EmbeddingForm;
  readonly #infill: InfillTokens | null;
  readonly #generator: Generator;

  constructor(options: TextServiceOptions) {
    this.modelId = options.modelId;
    this.created = options.created;
    this.contextLength = options.model.contextLength;
    this.#vocabSize = options.model.vocabSize;
    this.#dim = options.model.dim;
    this.#codec = options.codec;
    const { codec, template, reasoning = null, toolCalls = null, newCallId = randomCallId } = options;
    this.#reader = { codec, template, reasoning, toolCalls, newCallId };
    this.#embedding = options.embedding ?? { pooling: null, end: null };
    this.#infill = options.infill ?? null;
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

  /** As of Generator: work that changes who computes the model. */
  rebuild(work: () => Promise<void>): Promise<void> {
    return this.#generator.rebuild(work);
  }

  get statistics(): GenerationStatistics {
    return this.#generator.statistics;
  }

  /**
   * Answers a conversation. Nothing happens before the first `next()`; from then on the caller must take the events to
   * the end, call `return()`, or abort: an answer that nobody takes keeps its place.
   * @param param the field that the conversation came from
   * @throws StarlingError what `prompt` and callFormat throw; what Generator.submit throws, and its events
   */
  async *chat(
    conversation: Conversation,
    settings: TextSettings,
    signal?: AbortSignal,
    param = 'messages',
  ): AsyncGenerator<TextEvent, void, undefined> {
    const { tokens, form } = await this.prompt(conversation, signal);
    const { calling } = form;
    if (calling === undefined) return yield* this.#answer([tokens], param, settings, signal, form);
    const { continueFinal = false } = conversation;
    const format = callFormat(calling.form.family, toolUse(conversation), settings.format, continueFinal);
    const withCalls = format === undefined ? settings : { ...settings, format };
    yield* this.#answer([tokens], param, withCalls, signal, form);
  }

  /**
   * What the model reads of a conversation; see readConversation.
   * @throws StarlingError as readConversation
   */
  prompt(conversation: Conversation, signal?: AbortSignal): Promise<ReadConversation> {
    return readConversation(conversation, this.#reader, signal);
  }

  /**
   * Continues each of the prompts, or fills in its gap. The caller's duties are those of `chat`.
   * @throws StarlingError what promptTokens throws; otherwise as `chat`
   */
  async *complete(
    prompts: readonly Prompt[],
    settings: TextSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<TextEvent, void, undefined> {
    const encoded = prompts.map((prompt) => this.promptTokens(prompt));
    yield* this.#answer(encoded, 'prompt', settings, signal);
  }

  /**
   * Makes the embeddings of texts, given as text or as token ids: the hidden states after the model's last norm,
   * pooled, cut to the wanted dimensions and made vectors of length 1. They do not depend on what else is computed
   * beside them.
   * @throws StarlingError invalid_request, context_length_exceeded, unsupported_parameter; what Generator.embed throws
   */
  async embed(
    inputs: readonly (string | readonly number[])[],
    { pooling, dimensions, standing }: EmbeddingOptions,
    signal?: AbortSignal,
  ): Promise<Embeddings> {
    const form = this.#embedding;
    const kept = dimensions ?? this.#dim;
    checkDimensions(kept, this.#dim);
    checkInputs(inputs);
    const how = poolingOf(form, pooling);
    const texts = inputs.map((input, i) => {
      const tokens =
        typeof input === 'string'
          ? withEnd(encodePrompt(this.#codec, input), form)
          : checkTokenIds(input, this.#vocabSize, `input[${i}]`);
      checkInputLength(tokens.length, i, this.contextLength);
      return new EmbeddingText(tokens, how, kept);
    });
    await this.#generator.embed(texts, standing, signal);
    return {
      vectors: texts.map(({ vector }) => vector),
      promptTokens: texts.reduce((sum, { tokens }) => sum + tokens.length, 0),
      cachedTokens: texts.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
    };
  }

  /**
   * The text of a prompt as it is echoed.
   * @param param the field that it came from
   * @throws StarlingError invalid_request for token ids outside the vocabulary
   */
  promptText(prompt: string | readonly number[], param = 'prompt'): string {
    return typeof prompt === 'string'
      ? prompt
      : decodeTokens(this.#codec, checkTokenIds(prompt, this.#vocabSize, param));
  }

  /**
   * What the model reads of a prompt.
   * @throws StarlingError invalid_request for token ids outside the vocabulary; what gapPrompt throws
   */
  promptTokens(prompt: Prompt): readonly number[] {
    if (typeof prompt === 'string') return encodePrompt(this.#codec, prompt);
    if ('before' in prompt) return gapPrompt(this.#codec, this.#infill, prompt, this.contextLength);
    return checkTokenIds(prompt, this.#vocabSize, 'prompt');
  }

  /** Where in a text each of its tokens begins; see tokenOffsets. */
  tokenOffsets(tokens: readonly number[], text: string): readonly number[] {
    return tokenOffsets(this.#codec, tokens, text);
  }

  /** The token ids of a text; see TextCodec.encode. */
  tokenize(text: string, options: { readonly addSpecial: boolean; readonly parseSpecial: boolean }): readonly number[] {
    return this.#codec.encode(text, options);
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
    form: AnswerForm = {},
  ): AsyncGenerator<TextEvent, void, undefined> {
    for (const prompt of prompts) checkPromptLength(prompt.length, this.contextLength, param);
    const requests = generationRequests(prompts, settings, form);
    const events = await this.#generator.submit(requests, settings.standing, signal);
    try {
      yield { type: 'accepted', promptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0) };
      yield* events;
    } finally {
      await events.return();
    }
  }
}
