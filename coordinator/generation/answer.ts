import type { Constraint } from '../constraint/constraint.ts';
import type { OutputFormat } from '../constraint/output-format.ts';
import { AnswerParts, type Calling, type Reasoning } from './answer-parts.ts';
import type { SplitText } from './answer-split.ts';
import { ChannelledText } from './channelled-text.ts';
import { FormattedText, withoutTokens } from './formatted-text.ts';
import { type LogProbabilities, logprobs } from './log-probabilities.ts';
import { type HeldBack, NONE_HELD_BACK, type SamplingOptions, sample } from './sampler.ts';
import { type StopResult, StopSequences } from './stop-sequences.ts';
import type { StreamingDetokenizer, TextCodec } from './text-codec.ts';

/** Which tokens end a text, and when. */
export interface EndRules {
  /** The model's own ends are never drawn. */
  readonly ignored: boolean;
  /** No token ends the text, and no stop text is looked for, before there are so many tokens. */
  readonly notBefore: number;
  /** Tokens that end it beside the model's own. */
  readonly tokens: ReadonlySet<number>;
}

const USUAL_ENDS: EndRules = { ignored: false, notBefore: 0, tokens: new Set() };

export interface GenerationRequest {
  readonly promptTokens: readonly number[];
  /** Most tokens to generate; null for as many as the context holds. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
  /** The model's own ends at any time by default. */
  readonly ends?: EndRules;
  /** How reasoning is told from the answer; by default all text is answer. */
  readonly reasoning?: Reasoning;
  /**
   * The reasoning stays in the text, as if it were answer; its format, where there is one, begins after it all the
   * same.
   */
  readonly keepsReasoning?: boolean;
  /** How calls of tools are told from the answer; by default they are not. */
  readonly calling?: Calling;
  /** What the answer must look like, reasoning apart; anything by default. */
  readonly format?: OutputFormat;
  /** How many of the likeliest tokens to list with each token; null for no log probabilities at all. */
  readonly logprobs: number | null;
  /** The same for each token of the prompt but the first, whose rows are then all computed; none by default. */
  readonly promptLogProbs?: number | null;
  /** Sees the logits (valid during the call only) that the `step`-th token is drawn from; 0 follows the prompt. */
  readonly onLogits?: (logits: Float32Array, step: number) => void;
}

/** Why an answer is over: the model ended it, a limit did, or the model waits for what its calls come to. */
export type FinishReason = 'stop' | 'length' | 'tool_calls';

/** Texts that are now certain: empty while a character, or what may be a stop sequence or a mark, is incomplete. */
export interface TokenEvent extends SplitText {
  readonly type: 'token';
  readonly token: number;
  readonly logprobs?: LogProbabilities;
}

/** The text is over; what had been held back belongs to it after all. */
export interface AnswerEnd extends SplitText {
  readonly finishReason: FinishReason;
  /** Which of the request's stop texts ended it; left out where none did. */
  readonly stopText?: string;
}

/** What a token came to. */
export interface Drawn {
  readonly token: number;
  /** Null for the token that ends the text. */
  readonly event: TokenEvent | null;
  readonly end: AnswerEnd | null;
}

type ConstrainedText = FormattedText | ChannelledText;

function constrainedText(constraint: Constraint, codec: TextCodec, reasoning: Reasoning | undefined): ConstrainedText {
  const { form = null, opened = false } = reasoning ?? {};
  return form?.kind === 'channels'
    ? ChannelledText.begin(constraint, codec, form, opened)
    : FormattedText.begin(constraint, codec, form, opened);
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
  readonly #parts: AnswerParts | null;
  readonly #generated = new Map<number, number>();
  readonly #ends: EndRules;
  /** The tokens of prompt and text, kept where a repetition penalty looks at them. */
  readonly #history: number[] = [];
  /** Those of them that it meets, where all of them count. */
  readonly #seen = new Set<number>();
  /** The ends that the model knows, once somebody does not want them. */
  #ownEnds: readonly number[] | null = null;
  /** The text so far, where the answer has a format. */
  #formatted: ConstrainedText | null;

  readonly #judged: LogProbabilities[] = [];
  #isToldOfPrompt = false;

  /** @param constraint that of the request's format */
  constructor(
    request: GenerationRequest,
    codec: TextCodec,
    contextLength: number,
    constraint: Constraint | null = null,
  ) {
    this.request = request;
    // The last token is drawn from the last position's logits and needs no position itself.
    const room = contextLength + 1 - request.promptTokens.length;
    this.maxTokens = Math.min(request.maxTokens ?? Number.POSITIVE_INFINITY, room);
    this.#codec = codec;
    this.#detokenizer = codec.createDetokenizer({ startOfText: false });
    this.#stops = new StopSequences(request.stop);
    const { reasoning, keepsReasoning = false, calling = null } = request;
    const toldApart = keepsReasoning ? null : (reasoning ?? null);
    this.#parts = toldApart === null && calling === null ? null : new AnswerParts(toldApart, calling);
    this.#ends = request.ends ?? USUAL_ENDS;
    this.#formatted = constraint === null ? null : constrainedText(constraint, codec, reasoning);
    for (const token of request.promptTokens) this.#remember(token);
  }

  /** Tokens so far, without the one that ends the text. */
  get completionTokens(): number {
    return this.#completionTokens;
  }

  /** Of these tokens, those of the reasoning; complete when the text is over. */
  get reasoningTokens(): number {
    return this.#parts?.reasoningTokens ?? 0;
  }

  /** @param logits after the `position`-th token of the prompt, whose next token is judged by them; not kept */
  judgePrompt(logits: Float32Array, position: number): void {
    const { promptTokens, promptLogProbs = null } = this.request;
    const next = promptTokens[position + 1];
    if (next !== undefined && promptLogProbs !== null) this.#judged.push(logprobs(logits, next, promptLogProbs));
  }

  /** What there is to tell of the prompt, once: it comes with the first event. */
  takeJudged(): { readonly promptLogProbs?: readonly LogProbabilities[] } {
    const wanted = this.request.promptLogProbs ?? null;
    if (wanted === null || this.#isToldOfPrompt) return {};
    this.#isToldOfPrompt = true;
    return { promptLogProbs: this.#judged };
  }

  /**
   * The token that would be drawn from these logits if the text went on with `guesses`; nothing changes.
   * @throws StarlingError as `take`
   */
  guess(logits: Float32Array, guesses: readonly number[]): number {
    let formatted = this.#formatted;
    // What the format rejects is no text to go on with, and is found out when it is drawn.
    for (const token of guesses) formatted = formatted?.after(token) ?? null;
    return formatted?.forced() ?? this.#draw(logits, this.#completionTokens + guesses.length, formatted);
  }

  /**
   * Draws the next token.
   * @param logits after the last token; not kept
   * @throws StarlingError numeric_overflow when none of them is usable; invalid_request when the format leaves no token
   */
  take(logits: Float32Array): Drawn {
    this.request.onLogits?.(logits, this.#completionTokens);
    return this.#add(this.guess(logits, []), logits);
  }

  /**
   * Takes the next token where the format leaves no choice, so that no logits are needed.
   * @returns null where they are: to draw from, or because somebody wants to see them
   */
  force(): Drawn | null {
    if (this.request.logprobs !== null || this.request.onLogits !== undefined) return null;
    const token = this.#formatted?.forced() ?? null;
    return token === null ? null : this.#add(token, null);
  }

  #add(token: number, logits: Float32Array | null): Drawn {
    const { request } = this;
    // In a format, a token that is to end the text is text like others until the text may end.
    const mayEnd = this.#formatted?.isComplete ?? true;
    if (mayEnd && (this.#codec.isEndOfGeneration(token) || this.#ends.tokens.has(token))) {
      return { token, event: null, end: this.#end('stop', this.#heldText()) };
    }
    this.#completionTokens++;
    this.#generated.set(token, (this.#generated.get(token) ?? 0) + 1);
    this.#remember(token);
    this.#formatted = this.#formatted?.after(token) ?? null;
    const piece = this.#detokenizer.push(token);
    const mayStop = this.#completionTokens > this.#ends.notBefore;
    this.#parts?.draw(token, piece);
    const { text, stop } = mayStop ? this.#stops.push(piece) : { text: piece, stop: null };
    const event: TokenEvent = {
      type: 'token',
      token,
      ...(this.#parts?.take(text) ?? { reasoning: '', text }),
      ...(request.logprobs === null || logits === null ? {} : { logprobs: logprobs(logits, token, request.logprobs) }),
    };
    if (stop !== null) return { token, event, end: this.#end('stop', { text: '', stop }) };
    if (this.#formatted?.isOver) return { token, event, end: this.#end('stop', this.#heldText()) };
    if (this.#completionTokens < this.maxTokens) return { token, event, end: null };
    return { token, event, end: this.#end('length', this.#heldText()) };
  }

  #draw(logits: Float32Array, at: number, formatted: ConstrainedText | null): number {
    const { sampling, promptTokens } = this.request;
    const heldBack = this.#heldBack(at, logits.length, formatted);
    return sample(logits, sampling, promptTokens.length + at, this.#generated, heldBack);
  }

  #remember(token: number): void {
    const reach = this.request.sampling.repetition?.reach ?? 0;
    if (reach === Number.POSITIVE_INFINITY) this.#seen.add(token);
    else if (reach > 0) this.#history.push(token);
  }

  /** @param at tokens of the text before the one that is drawn */
  #heldBack(at: number, vocabSize: number, formatted: ConstrainedText | null): HeldBack {
    const { ignored, notBefore, tokens } = this.#ends;
    const reach = this.request.sampling.repetition?.reach ?? 0;
    const isEarly = at < notBefore;
    if (reach === 0 && !ignored && !isEarly && formatted === null) return NONE_HELD_BACK;
    const own = ignored || isEarly ? this.#endsOfModel(vocabSize) : [];
    const unwanted = isEarly && (formatted?.isComplete ?? true) ? [...own, ...tokens] : own;
    const allowed = formatted?.allowed() ?? null;
    return {
      repeated:
        reach === Number.POSITIVE_INFINITY ? this.#seen : new Set(reach === 0 ? [] : this.#history.slice(-reach)),
      // Where a format leaves nothing else, the text ends after all.
      forbidden: allowed === null || withoutTokens(allowed, unwanted).some((word) => word !== 0) ? unwanted : [],
      allowed,
    };
  }

  #endsOfModel(vocabSize: number): readonly number[] {
    this.#ownEnds ??= [...Array(vocabSize).keys()].filter((token) => this.#codec.isEndOfGeneration(token));
    return this.#ownEnds;
  }

  #end(reason: 'stop' | 'length', { text, stop }: StopResult): AnswerEnd {
    const last = this.#parts?.end(text) ?? { reasoning: '', text };
    // What had been held back may complete a stop text after all.
    const isStop = reason === 'stop' || stop !== null;
    return {
      finishReason: isStop && this.#parts?.hasCalls === true ? 'tool_calls' : isStop ? 'stop' : 'length',
      ...(stop === null ? {} : { stopText: stop }),
      ...last,
    };
  }

  #heldText(): StopResult {
    const { text, stop } = this.#stops.push(this.#detokenizer.flush());
    return { text: text + this.#stops.flush(), stop };
  }
}
