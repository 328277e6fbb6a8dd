import { setImmediate as nextTurn } from 'node:timers/promises';
import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import { type StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { LONGEST_TURN_MS } from '../../daemon/turns.ts';
import type { Constraint } from '../constraint/constraint.ts';
import { FormatCompiler } from '../constraint/format-compiler.ts';
import { OutputFormats } from '../constraint/output-formats.ts';
import type { DraftModel } from '../drafts/draft-model.ts';
import { KvCache } from '../kv/kv-cache.ts';
import type { LanguageModel } from '../language-model.ts';
import { Job } from '../scheduling/job.ts';
import { type PlannedRows, Scheduler, type StepPlan } from '../scheduling/scheduler.ts';
import { Answer, type AnswerEnd, type Drawn, type GenerationRequest, type TokenEvent } from './answer.ts';
import { NO_TEXT } from './answer-split.ts';
import type { EmbeddingText } from './embedding.ts';
import type { EventQueue } from './event-queue.ts';
import {
  type EndEvent,
  type GenerationEvent,
  type GenerationTimings,
  NOBODY_IN_PARTICULAR,
  type Standing,
} from './events.ts';
import { checkPromptLength } from './prompt-length.ts';
import { GenerationCounters, type GenerationStatistics } from './statistics.ts';
import type { TextCodec } from './text-codec.ts';
import { type AnswerMember, type EmbeddingMember, TextRequests } from './text-requests.ts';
import { inChannels, withMarks } from './tool-calls/call-format.ts';

export interface GeneratorOptions {
  readonly model: LanguageModel;
  readonly codec: TextCodec;
  readonly log: Logger;
  /** Guesses tokens beside prompt lookup. */
  readonly draft?: DraftModel;
  /** Whether to guess from the text itself; true unless a measurement needs it without. */
  readonly promptLookup?: boolean;
  /** Most requests that may wait. */
  readonly queueLimit?: number;
  /** Milliseconds from any origin. */
  readonly now?: () => number;
}

/**
 * Makes texts, and embeddings of texts, many at a time: has the scheduler form a step, computes it, draws from its logits, and hands
 * the tokens to whoever asked. It runs while there is work. A text's tokens do not depend on what else is in its steps.
 */
export class Generator {
  readonly #model: LanguageModel;
  readonly #codec: TextCodec;
  readonly #log: Logger;
  #draft: DraftModel | undefined;
  readonly #now: () => number;
  readonly #kv: KvCache;
  readonly #scheduler: Scheduler;
  readonly #compiler = new FormatCompiler();
  readonly #formats: OutputFormats;
  /** For calls of tools whose marks are tokens without a text. */
  #callFormats: OutputFormats | null = null;
  readonly #counters = new GenerationCounters();
  readonly #requests: TextRequests;
  #step: { readonly plan: StepPlan; readonly abort: AbortController } | null = null;
  #looping = false;

  constructor(options: GeneratorOptions) {
    this.#model = options.model;
    this.#codec = options.codec;
    this.#log = options.log;
    this.#draft = options.draft;
    this.#now = options.now ?? (() => performance.now());
    this.#kv = new KvCache(options.model.kvPages);
    this.#formats = new OutputFormats(options.codec, options.model.vocabSize, this.#compiler);
    this.#scheduler = new Scheduler({
      kv: this.#kv,
      maxRows: MAX_ROWS,
      promptLookup: options.promptLookup ?? true,
    });
    const listeners = {
      onForget: (job: Job) => this.#draft?.forget(job),
      onEnd: (givenUp: number) => this.#ended(givenUp),
      onResume: () => this.#wake(),
    };
    this.#requests = new TextRequests(this.#scheduler, listeners, options.queueLimit);
  }

  /** Requests of which nothing has been computed yet, and the others. */
  get load(): { readonly waiting: number; readonly running: number } {
    return this.#requests.load;
  }

  /** Texts that are computed at a time, at the present speed: more would only wait. */
  get mostRunning(): number {
    return this.#scheduler.mostRunning;
  }

  get statistics(): GenerationStatistics {
    const { waiting, running } = this.load;
    return {
      ...this.#counters,
      requestsWaiting: waiting,
      requestsRunning: running,
      preemptions: this.#scheduler.preemptions,
      kv: this.#kv.counts,
    };
  }

  /**
   * Generates one text: token events, then one end event.
   * @throws StarlingError as `submit`, and what the model throws
   */
  async *generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    yield* await this.submit([request], NOBODY_IN_PARTICULAR, signal);
  }

  /**
   * Generates several texts at a time. The work begins at once, or when their formats are known; whoever takes the events slowly
   * slows down these texts and no others, and whoever stops taking them (`return`) ends them.
   * @returns for each text its token events and one end event, in the order in which they come to be
   * @throws StarlingError context_length_exceeded; invalid_request and unsupported_parameter for formats; queue_full when too many
   * wait; cancelled when `signal` has aborted or the generator has stopped. While events are taken: cancelled within one step of an abort; deadline_exceeded; what the model throws
   */
  async submit(
    requests: readonly GenerationRequest[],
    standing: Standing,
    signal?: AbortSignal,
  ): Promise<EventQueue<GenerationEvent>> {
    for (const { promptTokens } of requests) checkPromptLength(promptTokens.length, this.#model.contextLength);
    this.#requests.check(standing.user, requests.length, signal);
    const constraints = await Promise.all(requests.map((wanted) => this.#constraintOf(wanted)));
    // Others may have come meanwhile, or the client may have left.
    this.#requests.check(standing.user, requests.length, signal);
    const request = this.#requests.open(standing, signal);
    const arrived = this.#now();
    for (const [choice, wanted] of requests.entries()) {
      const answer = new Answer(wanted, this.#codec, this.#model.contextLength, constraints[choice]);
      const judged = (wanted.promptLogProbs ?? null) !== null;
      const job = new Job({
        user: standing.user,
        priority: standing.priority,
        prompt: wanted.promptTokens,
        maxTokens: Math.max(0, answer.maxTokens),
        promptRows: judged ? 'every' : 'last',
        contextLength: this.#model.contextLength,
        arrived,
      });
      const member: AnswerMember = { request, choice, answer, job };
      if (answer.maxTokens <= 0 && !judged) {
        this.#pushEnd(member, { finishReason: 'length', ...NO_TEXT });
        continue;
      }
      this.#requests.enter(member);
    }
    this.#requests.endIfDone(request);
    this.#wake();
    return request.events;
  }

  async #constraintOf({ format: wanted, calling, reasoning }: GenerationRequest): Promise<Constraint | null> {
    if (wanted === undefined) return null;
    const format = reasoning?.form.kind === 'channels' ? inChannels(wanted) : wanted;
    const hidden = [...(calling?.form.tokens ?? [])].filter(([token]) => this.#codec.pieceBytes(token).length === 0);
    if (format.kind !== 'calls' || hidden.length === 0) return this.#formats.constraint(format);
    const source = withMarks(this.#codec, new Map(hidden));
    this.#callFormats ??= new OutputFormats(source, this.#model.vocabSize, this.#compiler);
    return this.#callFormats.constraint(format);
  }

  /**
   * Computes texts until each has its vector, as many at a time as a step has rows, so that many of them keep nobody else out.
   * @param texts at least one, each of at least one token, that the context holds
   * @throws StarlingError as `submit` and its events
   */
  async embed(texts: readonly EmbeddingText[], standing: Standing, signal?: AbortSignal): Promise<void> {
    this.#requests.check(standing.user, Math.min(texts.length, MAX_ROWS), signal);
    const left = texts.values();
    const submitNext = (): void => {
      const { value: text } = left.next();
      if (text !== undefined) this.#requests.enter({ request, text, job: this.#embeddingJob(text, standing) });
    };
    const request = this.#requests.open(standing, signal, submitNext);
    for (let i = 0; i < MAX_ROWS; i++) submitNext();
    this.#wake();
    await request.events.next();
  }

  #embeddingJob({ tokens, pooling }: EmbeddingText, { user, priority }: Standing): Job {
    return new Job({
      user,
      priority,
      prompt: tokens,
      maxTokens: 0,
      promptRows: pooling === 'mean' ? 'every' : 'last',
      output: 'hidden',
      contextLength: this.#model.contextLength,
      arrived: this.#now(),
    });
  }

  /** Refuses all who wait and all who come later. Abort the signals of those that run to end them. */
  stop(): void {
    this.#requests.stop();
    this.#compiler.stop();
  }

  #wake(): void {
    if (this.#looping) return;
    this.#looping = true;
    void this.#loop();
  }

  async #loop(): Promise<void> {
    for (;;) {
      // Sockets and timers have their turn between two steps, however fast those are.
      await nextTurn();
      try {
        const plan = await this.#plan(this.#now());
        if (plan === null) {
          this.#looping = false;
          return;
        }
        await this.#compute(plan);
      } catch (thrown) {
        // A fault of ours: nobody is left waiting for what may never come.
        const error = toStarlingError(thrown);
        this.#log.error({ code: error.code }, error.message);
        this.#requests.endAll(error);
      }
    }
  }

  async #plan(now: number): Promise<StepPlan | null> {
    const draft = this.#draft;
    const wishes = this.#scheduler.admit(now, draft === undefined ? null : draft.tokenMs);
    if (draft === undefined || wishes.length === 0) return this.#scheduler.plan(now);
    const draw = (job: Job, logits: Float32Array, guessed: readonly number[]): number => {
      const member = this.#requests.memberOf(job);
      if (member === undefined || !('answer' in member)) return 0;
      try {
        return member.answer.guess(logits, guessed);
      } catch {
        // Not the draft model's fault: what is wrong with a text is told to its client, when its own logits are there.
        return 0;
      }
    };
    let guesses = new Map<Job, number[]>();
    try {
      guesses = await draft.guess(wishes, draw);
    } catch (thrown) {
      this.#log.warn({ code: toStarlingError(thrown).code }, 'the draft model failed, and guesses no more');
      this.#draft = undefined;
    }
    // A text may have left meanwhile, whose room others wait for.
    this.#scheduler.admit(now);
    return this.#scheduler.plan(now, guesses);
  }

  async #compute(plan: StepPlan): Promise<void> {
    const started = this.#now();
    const abort = new AbortController();
    this.#step = { plan, abort };
    let outputs: Float32Array[];
    try {
      outputs = await this.#model.step(plan.entries, abort.signal);
    } catch (thrown) {
      await this.#failed(plan, toStarlingError(thrown));
      return;
    } finally {
      this.#step = null;
    }
    let at = 0;
    for (const entry of plan.entries) {
      const wanted = entry.hidden + entry.logits;
      const own = outputs.slice(at, at + wanted);
      this.#deliver(entry, entry.job.judgesPrompt ? await this.#judge(entry, own) : own);
      at += wanted;
    }
    const ms = this.#now() - started;
    this.#scheduler.cost.observe(plan.rows, ms);
    this.#counters.steps++;
    this.#counters.rows += plan.rows;
    this.#counters.stepMs += ms;
  }

  /**
   * A value that is out of range is the fault of one text, or of a guess at one: the others are computed without it, and each by
   * itself, as alone. Anything else ends all that were in the step.
   */
  async #failed(plan: StepPlan, error: StarlingError): Promise<void> {
    const left = plan.entries.filter(({ job }) => this.#requests.memberOf(job) !== undefined);
    const [only] = left;
    if (error.code === 'numeric_overflow' && (plan.entries.length > 1 || only?.drafted.length)) {
      for (const entry of left) {
        if (this.#requests.memberOf(entry.job) === undefined) continue;
        const tokens = entry.tokens.slice(0, entry.tokens.length - entry.drafted.length);
        const alone = { ...entry, tokens, drafted: [], logits: entry.logits - entry.drafted.length };
        await this.#compute({ entries: [alone], rows: tokens.length });
      }
      return;
    }
    for (const { job } of left) {
      const member = this.#requests.memberOf(job);
      if (member !== undefined) this.#requests.end(member.request, error);
    }
  }

  #deliver(entry: PlannedRows, outputs: readonly Float32Array[]): void {
    const member = this.#requests.memberOf(entry.job);
    if (member === undefined) return;
    if ('answer' in member) this.#draw(member, entry, outputs);
    else this.#pool(member, entry, outputs);
  }

  /** Judges the prompt's tokens by the rows before them. @returns the other rows, which tokens are drawn from */
  async #judge({ job, position, tokens }: PlannedRows, logits: Float32Array[]): Promise<Float32Array[]> {
    const first = position + tokens.length - logits.length;
    const rows = Math.max(0, Math.min(logits.length, job.promptLength - 1 - first));
    let turn = this.#now();
    for (let row = 0; row < rows; row++) {
      if (this.#now() - turn > LONGEST_TURN_MS) {
        await nextTurn();
        turn = this.#now();
      }
      // The client may have left meanwhile.
      const member = this.#requests.memberOf(job);
      if (member !== undefined && 'answer' in member) member.answer.judgePrompt(logits[row]!, first + row);
    }
    return logits.slice(rows);
  }

  #pool(member: EmbeddingMember, entry: PlannedRows, states: readonly Float32Array[]): void {
    const { job, request, text } = member;
    text.take(states);
    this.#scheduler.commit(entry, [], this.#now());
    if (job.pending > 0) return;
    text.finish(job.cachedTokens);
    this.#requests.finish(member);
    this.#counters.finished({ promptTokens: job.promptLength, cachedTokens: job.cachedTokens }, this.#timings(job));
    request.submitNext();
    this.#requests.endIfDone(request);
  }

  #draw(member: AnswerMember, entry: PlannedRows, logits: readonly Float32Array[]): void {
    if (member.answer.maxTokens <= 0) {
      this.#scheduler.commit(entry, [], this.#now());
      if (member.job.pending === 0) this.#finish(member, { finishReason: 'length', ...NO_TEXT });
      return;
    }
    const drawn: number[] = [];
    const forced: number[] = [];
    const events: TokenEvent[] = [];
    let end: AnswerEnd | null = null;
    try {
      for (const [i, row] of logits.entries()) {
        const taken = member.answer.take(row);
        drawn.push(taken.token);
        if (taken.event !== null) events.push(taken.event);
        end = taken.end;
        // Rows after a wrong guess stand for another text.
        if (end !== null || taken.token !== entry.drafted[i]) break;
      }
      // The next step computes them together, as it does the tokens of a prompt.
      for (let taken = this.#force(member, drawn, end); taken !== null; taken = this.#force(member, drawn, end)) {
        forced.push(taken.token);
        if (taken.event !== null) events.push(taken.event);
        end = taken.end;
      }
    } catch (thrown) {
      this.#requests.end(member.request, toStarlingError(thrown));
      return;
    }
    this.#scheduler.commit(entry, drawn, this.#now(), forced);
    this.#counters.draftedTokens += entry.drafted.length;
    if (entry.drafted.length > 0) this.#counters.acceptedTokens += drawn.length - 1;
    const { answer, choice, request } = member;
    for (const event of events) request.events.push({ ...event, ...answer.takeJudged(), choice });
    if (end !== null) this.#finish(member, end);
    else if (member.request.events.full) this.#requests.pause(member.request, true);
  }

  #force({ answer }: AnswerMember, drawn: readonly number[], end: AnswerEnd | null): Drawn | null {
    return drawn.length === 0 || end !== null ? null : answer.force();
  }

  #finish(member: AnswerMember, end: AnswerEnd): void {
    const { job, request } = member;
    const { usage, timings } = this.#pushEnd(member, end);
    this.#requests.finish(member);
    this.#counters.finished(usage, timings);
    this.#log.debug({ ...usage, finishReason: end.finishReason, priority: job.priority, ...timings }, 'generated');
    this.#requests.endIfDone(request);
  }

  #pushEnd({ answer, job, request, choice }: AnswerMember, end: AnswerEnd): EndEvent {
    const event: EndEvent = {
      type: 'end',
      ...end,
      usage: {
        promptTokens: job.promptLength,
        cachedTokens: job.cachedTokens,
        completionTokens: answer.completionTokens,
        reasoningTokens: answer.reasoningTokens,
      },
      timings: this.#timings(job),
    };
    request.events.push({ ...event, ...answer.takeJudged(), choice });
    return event;
  }

  /** Of a job that ends now. */
  #timings(job: Job): GenerationTimings {
    const now = this.#now();
    const startedAt = job.startedAt ?? now;
    const prefilledAt = job.prefilledAt ?? now;
    return { queueMs: startedAt - job.arrived, prefillMs: prefilledAt - startedAt, decodeMs: now - prefilledAt };
  }

  /** A step that nobody waits for any more is given up. */
  #ended(givenUp: number): void {
    this.#counters.textsEnded += givenUp;
    const step = this.#step;
    if (step?.plan.entries.every(({ job }) => this.#requests.memberOf(job) === undefined)) step.abort.abort();
    this.#wake();
  }
}
