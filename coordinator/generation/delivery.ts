import { setImmediate as nextTurn } from 'node:timers/promises';
import { toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { LONGEST_TURN_MS } from '../../daemon/turns.ts';
import type { Job } from '../scheduling/job.ts';
import type { PlannedRows, Scheduler, StepPlan } from '../scheduling/scheduler.ts';
import type { AnswerEnd, Drawn, TokenEvent } from './answer.ts';
import { NO_TEXT } from './answer-split.ts';
import type { EndEvent, GenerationTimings } from './events.ts';
import type { GenerationCounters } from './statistics.ts';
import type { AnswerMember, EmbeddingMember, TextRequests } from './text-requests.ts';

export interface DeliveryOptions {
  readonly scheduler: Scheduler;
  readonly requests: TextRequests;
  readonly counters: GenerationCounters;
  readonly log: Logger;
  /** Milliseconds from any origin. */
  readonly now: () => number;
}

/**
 * Hands what the rows of a step gave to the texts that they are of: draws tokens, pools hidden states, and ends what is
 * done.
 */
export class Delivery {
  readonly #scheduler: Scheduler;
  readonly #requests: TextRequests;
  readonly #counters: GenerationCounters;
  readonly #log: Logger;
  readonly #now: () => number;

  constructor({ scheduler, requests, counters, log, now }: DeliveryOptions) {
    this.#scheduler = scheduler;
    this.#requests = requests;
    this.#counters = counters;
    this.#log = log;
    this.#now = now;
  }

  /** @param outputs of each entry of the plan its hidden states and logits, in their order */
  async deliver(plan: StepPlan, outputs: readonly Float32Array[]): Promise<void> {
    let at = 0;
    for (const entry of plan.entries) {
      const wanted = entry.hidden + entry.logits;
      const own = outputs.slice(at, at + wanted);
      this.#deliver(entry, entry.job.judgesPrompt ? await this.#judge(entry, own) : own);
      at += wanted;
    }
  }

  /** Tells a text's client that it has ended. */
  tellEnd({ answer, job, request, choice }: AnswerMember, end: AnswerEnd): EndEvent {
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
      for (let taken = force(member, drawn, end); taken !== null; taken = force(member, drawn, end)) {
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

  #finish(member: AnswerMember, end: AnswerEnd): void {
    const { job, request } = member;
    const { usage, timings } = this.tellEnd(member, end);
    this.#requests.finish(member);
    this.#counters.finished(usage, timings);
    this.#log.debug({ ...usage, finishReason: end.finishReason, priority: job.priority, ...timings }, 'generated');
    this.#requests.endIfDone(request);
  }

  /** Of a job that ends now. */
  #timings(job: Job): GenerationTimings {
    const now = this.#now();
    const startedAt = job.startedAt ?? now;
    const prefilledAt = job.prefilledAt ?? now;
    return { queueMs: startedAt - job.arrived, prefillMs: prefilledAt - startedAt, decodeMs: now - prefilledAt };
  }
}

/** The next token where a text's format leaves no choice. */
const force = ({ answer }: AnswerMember, drawn: readonly number[], end: AnswerEnd | null): Drawn | null =>
  drawn.length === 0 || end !== null ? null : answer.force();
