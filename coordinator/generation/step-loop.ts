import { setImmediate as nextTurn } from 'node:timers/promises';
import { type StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { Turns } from '../../daemon/turns.ts';
import type { DraftModel } from '../drafts/draft-model.ts';
import type { LanguageModel } from '../language-model.ts';
import type { Job } from '../scheduling/job.ts';
import type { Scheduler, StepPlan } from '../scheduling/scheduler.ts';
import type { Delivery } from './delivery.ts';
import type { GenerationCounters } from './statistics.ts';
import type { TextRequests } from './text-requests.ts';

export interface StepLoopOptions {
  readonly model: LanguageModel;
  readonly scheduler: Scheduler;
  readonly requests: TextRequests;
  readonly delivery: Delivery;
  readonly counters: GenerationCounters;
  readonly draft: DraftModel | undefined;
  readonly log: Logger;
  /** Milliseconds from any origin. */
  readonly now: () => number;
}

/** A step that is being computed. */
interface Computing {
  readonly plan: StepPlan;
  readonly abort: AbortController;
}

/**
 * Has the scheduler form one step after the other, computes each and has it delivered, while there is work.
 *
 *     idle ──wake──▶ planning ──a plan──▶ computing
 *       ◀──no work──────┘ ◀────────────────┘
 */
export class StepLoop {
  readonly #options: StepLoopOptions;
  readonly #turns = new Turns();
  #draft: DraftModel | undefined;
  #state: 'idle' | 'planning' | Computing = 'idle';

  constructor(options: StepLoopOptions) {
    this.#options = options;
    this.#draft = options.draft;
  }

  /** There may be work. */
  wake(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'planning';
    void this.#run();
  }

  /** Does something between two steps: the next one begins after it. @returns what the work does */
  between<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work);
  }

  /** A text has left the scheduler. */
  forget(job: Job): void {
    this.#draft?.forget(job);
  }

  /** Gives up the step that is being computed if nobody waits for any of its texts any more. */
  giveUpUnwanted(): void {
    if (typeof this.#state === 'string') return;
    const { plan, abort } = this.#state;
    const { requests } = this.#options;
    if (plan.entries.every(({ job }) => requests.memberOf(job) === undefined)) abort.abort();
  }

  async #run(): Promise<void> {
    const { requests, log, now } = this.#options;
    for (;;) {
      // Sockets and timers have their turn between two steps, however fast those are.
      await nextTurn();
      try {
        const isDone = await this.#turns.take(async () => {
          const plan = await this.#plan(now());
          if (plan === null) this.#state = 'idle';
          else await this.#compute(plan);
          return plan === null;
        });
        if (isDone) return;
      } catch (thrown) {
        // A fault of ours: nobody is left waiting for what may never come.
        const error = toStarlingError(thrown);
        log.error({ code: error.code }, error.message);
        requests.endAll(error);
      }
    }
  }

  async #plan(now: number): Promise<StepPlan | null> {
    const { scheduler, log } = this.#options;
    const draft = this.#draft;
    const wishes = scheduler.admit(now, draft === undefined ? null : draft.tokenMs);
    if (draft === undefined || wishes.length === 0) return scheduler.plan(now);
    let guesses = new Map<Job, number[]>();
    try {
      guesses = await draft.guess(wishes, (job, logits, guessed) => this.#guess(job, logits, guessed));
    } catch (thrown) {
      log.warn({ code: toStarlingError(thrown).code }, 'the draft model failed, and guesses no more');
      this.#draft = undefined;
    }
    // A text may have left meanwhile, whose room others wait for.
    scheduler.admit(now);
    return scheduler.plan(now, guesses);
  }

  #guess(job: Job, logits: Float32Array, guessed: readonly number[]): number {
    const member = this.#options.requests.memberOf(job);
    if (member === undefined || !('answer' in member)) return 0;
    try {
      return member.answer.guess(logits, guessed);
    } catch {
      // Not the draft model's fault: what is wrong with a text is told to its client, when its own logits are there.
      return 0;
    }
  }

  async #compute(plan: StepPlan): Promise<void> {
    const { model, scheduler, delivery, counters, now } = this.#options;
    const started = now();
    const abort = new AbortController();
    this.#state = { plan, abort };
    let outputs: Float32Array[];
    try {
      outputs = await model.step(plan.entries, abort.signal);
    } catch (thrown) {
      await this.#failed(plan, toStarlingError(thrown));
      return;
    } finally {
      this.#state = 'planning';
    }
    await delivery.deliver(plan, outputs);
    const ms = now() - started;
    scheduler.cost.observe(plan.rows, ms);
    counters.steps++;
    counters.rows += plan.rows;
    counters.stepMs += ms;
  }

  /**
   * A value that is out of range is the fault of one text, or of a guess at one: the others are computed without it,
   * and each by itself, as alone. Anything else ends all that were in the step.
   */
  async #failed(plan: StepPlan, error: StarlingError): Promise<void> {
    const { requests } = this.#options;
    const left = plan.entries.filter(({ job }) => requests.memberOf(job) !== undefined);
    const [only] = left;
    if (error.code === 'numeric_overflow' && (plan.entries.length > 1 || only?.drafted.length)) {
      for (const entry of left) {
        if (requests.memberOf(entry.job) === undefined) continue;
        const tokens = entry.tokens.slice(0, entry.tokens.length - entry.drafted.length);
        const alone = { ...entry, tokens, drafted: [], logits: entry.logits - entry.drafted.length };
        await this.#compute({ entries: [alone], rows: tokens.length });
      }
      return;
    }
    for (const { job } of left) {
      const member = requests.memberOf(job);
      if (member !== undefined) requests.end(member.request, error);
    }
  }
}
