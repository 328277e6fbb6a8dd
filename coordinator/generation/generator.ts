import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import type { Logger } from '../../daemon/log.ts';
import type { DraftModel } from '../drafts/draft-model.ts';
import { KvCache } from '../kv/kv-cache.ts';
import type { LanguageModel } from '../language-model.ts';
import { Job } from '../scheduling/job.ts';
import { Scheduler } from '../scheduling/scheduler.ts';
import { Answer, type GenerationRequest } from './answer.ts';
import { AnswerConstraints } from './answer-constraints.ts';
import { NO_TEXT } from './answer-split.ts';
import { Delivery } from './delivery.ts';
import type { EmbeddingText } from './embedding.ts';
import type { EventQueue } from './event-queue.ts';
import { type GenerationEvent, NOBODY_IN_PARTICULAR, type Standing } from './events.ts';
import { checkPromptLength } from './prompt-length.ts';
import { GenerationCounters, type GenerationStatistics } from './statistics.ts';
import { StepLoop } from './step-loop.ts';
import type { TextCodec } from './text-codec.ts';
import { type AnswerMember, TextRequests } from './text-requests.ts';

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
 * Makes texts, and embeddings of texts, many at a time: takes requests and gives them to the scheduler as jobs;
 * `StepLoop` computes them, and `Delivery` hands what comes of it to whoever asked. A text's tokens do not depend on
 * what else is in its steps.
 */
export class Generator {
  readonly #model: LanguageModel;
  readonly #codec: TextCodec;
  readonly #now: () => number;
  readonly #kv: KvCache;
  readonly #scheduler: Scheduler;
  readonly #constraints: AnswerConstraints;
  readonly #counters = new GenerationCounters();
  readonly #requests: TextRequests;
  readonly #delivery: Delivery;
  readonly #loop: StepLoop;

  constructor(options: GeneratorOptions) {
    const { model, codec, log, draft, promptLookup = true, now = () => performance.now() } = options;
    this.#model = model;
    this.#codec = codec;
    this.#now = now;
    this.#kv = new KvCache(model.kvPages);
    this.#constraints = new AnswerConstraints(codec, model.vocabSize);
    this.#scheduler = new Scheduler({ kv: this.#kv, maxRows: MAX_ROWS, promptLookup });
    const listeners = {
      onForget: (job: Job) => this.#loop.forget(job),
      onEnd: (givenUp: number) => this.#ended(givenUp),
      onResume: () => this.#loop.wake(),
    };
    this.#requests = new TextRequests(this.#scheduler, listeners, options.queueLimit);
    const parts = { scheduler: this.#scheduler, requests: this.#requests, counters: this.#counters, log, now };
    this.#delivery = new Delivery(parts);
    this.#loop = new StepLoop({ ...parts, model, draft, delivery: this.#delivery });
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
   * Generates several texts at a time. The work begins at once, or when their formats are known; whoever takes the
   * events slowly slows down these texts and no others, and whoever stops taking them (`return`) ends them.
   * @returns for each text its token events and one end event, in the order in which they come to be
   * @throws StarlingError context_length_exceeded; invalid_request and unsupported_parameter for formats; queue_full
   * when too many wait; cancelled when `signal` has aborted or the generator has stopped. While events are taken:
   * cancelled within one step of an abort; deadline_exceeded; what the model throws
   */
  async submit(
    requests: readonly GenerationRequest[],
    standing: Standing,
    signal?: AbortSignal,
  ): Promise<EventQueue<GenerationEvent>> {
    for (const { promptTokens } of requests) checkPromptLength(promptTokens.length, this.#model.contextLength);
    this.#requests.check(standing.user, requests.length, signal);
    const constraints = await Promise.all(requests.map((wanted) => this.#constraints.of(wanted)));
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
        this.#delivery.tellEnd(member, { finishReason: 'length', ...NO_TEXT });
        continue;
      }
      this.#requests.enter(member);
    }
    this.#requests.endIfDone(request);
    this.#loop.wake();
    return request.events;
  }

  /**
   * Computes texts until each has its vector, as many at a time as a step has rows, so that many of them keep nobody
   * else out.
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
    this.#loop.wake();
    await request.events.next();
  }

  /**
   * Has work done that changes who computes the model: between two steps, with nothing of any text in the KV cache. Texts
   * that are under way, and those that come meanwhile, wait; then they are computed again from their tokens, and go on.
   * @returns when the work is done @throws what the work throws
   */
  async rebuild(work: () => Promise<void>): Promise<void> {
    try {
      await this.#loop.between(async () => {
        this.#scheduler.yieldAll(this.#now());
        try {
          await work();
        } finally {
          this.#kv.reset(this.#model.kvPages);
        }
      });
    } finally {
      this.#loop.wake();
    }
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
    this.#constraints.stop();
  }

  #ended(givenUp: number): void {
    this.#counters.textsEnded += givenUp;
    this.#loop.giveUpUnwanted();
    this.#loop.wake();
  }
}
