import { KV_PAGE } from '../../kernels/formats.ts';
import { type DraftPrice, MAX_DRAFT } from '../drafts/draft-control.ts';
import type { KvCache } from '../kv/kv-cache.ts';
import type { SequenceRows } from '../language-model.ts';
import { Admission } from './admission.ts';
import type { Job } from './job.ts';
import { sortBy } from './sort-by.ts';
import { StepCost } from './step-cost.ts';
import { rowsInTime } from './step-target.ts';

/** What one job has in a step: rows that are sure, then drafted ones. */
export interface PlannedRows extends SequenceRows {
  readonly job: Job;
  readonly hidden: number;
  /** Guesses at the tokens that follow; the last of the rows. */
  readonly drafted: readonly number[];
  readonly draftedBy: DraftSource;
}

export type DraftSource = 'lookup' | 'model';

export interface StepPlan {
  readonly entries: readonly PlannedRows[];
  readonly rows: number;
}

/** A job whose next tokens a draft model should guess. */
export interface DraftWish {
  readonly job: Job;
  readonly length: number;
}

export interface SchedulerOptions {
  readonly kv: KvCache;
  /** Most rows of a step. */
  readonly maxRows: number;
  /** Whether to guess what follows from the text itself. */
  readonly promptLookup: boolean;
}

/** Tokens beyond the last that a decoding job may have to compute: more are computed like a prompt. */
const MOST_FORCED = 16;
/** Rows for those who wait for their first token, however many decode. */
const LEAST_PREFILL = 8;
/** A token's time in the order of who waits, before any was measured. */
const DEFAULT_TOKEN_MS = 10;

/**
 * Decides who has rows in each step. No clock, no sockets, no model: times come as arguments, and whoever drives it
 * computes what it plans and reports what came of it.
 *
 * Who runs is Admission's to say. Decoding jobs have a row in every step as far as rows go; what is left of the step's
 * time goes to drafts and prompts.
 */
export class Scheduler {
  readonly cost: StepCost;
  readonly #kv: KvCache;
  readonly #maxRows: number;
  readonly #promptLookup: boolean;
  readonly #admission: Admission;
  #step = 0;

  constructor({ kv, maxRows, promptLookup }: SchedulerOptions) {
    this.#kv = kv;
    this.#maxRows = maxRows;
    this.#promptLookup = promptLookup;
    this.#admission = new Admission(kv);
    this.cost = new StepCost(maxRows);
  }

  get waiting(): ReadonlySet<Job> {
    return this.#admission.waiting;
  }

  get running(): ReadonlySet<Job> {
    return this.#admission.running;
  }

  /** Times that a job had to yield to another, or to a move of tiles. */
  get preemptions(): number {
    return this.#admission.preemptions;
  }

  /** Jobs that may run at a time: each of them can have a row in a step that keeps to the target. */
  get mostRunning(): number {
    return Math.max(LEAST_PREFILL, this.#rowsInTime());
  }

  /** Tokens computed for a user, as fair shares count them. */
  service(user: string): number {
    return this.#admission.service(user);
  }

  /** How long all that is to be done will take at the speed so far; milliseconds. */
  backlogMs(): number {
    return sum([...this.waiting, ...this.running].map(({ remaining }) => remaining)) * this.#tokenMs();
  }

  submit(job: Job): void {
    this.#admission.submit(job);
  }

  /** The job's client has stopped to read, or goes on. */
  pause(job: Job, paused: boolean): void {
    this.#admission.pause(job, paused);
  }

  /** Has all that run wait, with the tokens they have: nothing reads the KV cache then. */
  yieldAll(now: number): void {
    this.#admission.yieldAll(now);
  }

  /** The job is over: finished, failed or given up. */
  remove(job: Job, finished: boolean): void {
    this.#admission.remove(job, finished);
  }

  /**
   * Lets in who may run now.
   * @returns which of them a draft model should guess for, and how far; for `plan`
   * @param modelMs milliseconds that the draft model takes a token
   */
  admit(now: number, modelMs: number | null = null): DraftWish[] {
    this.#admission.admit(now, { mostRunning: this.mostRunning, tokenMs: this.#tokenMs() });
    if (modelMs === null) return [];
    const decoding = this.#decoding().filter(({ pending }) => pending === 1);
    const stepMs = this.cost.ms(decoding.length);
    const price = { rowMs: this.cost.slope(decoding.length) + modelMs, stepMs, stepTokens: decoding.length };
    const wishes: DraftWish[] = [];
    let room = this.#budget(decoding.length) - decoding.length;
    for (const job of decoding) {
      const most = Math.min(room, mostDraft(job));
      if (most <= 0 || this.#lookup(job, price, most).length > 0) continue;
      const length = job.modelControl.length(price, most);
      if (length === 0) job.modelControl.skipped();
      else wishes.push({ job, length });
      room -= length;
    }
    return wishes;
  }

  /**
   * Forms the next step.
   * @param guesses of the draft model
   * @returns null when nobody can have a row: there are no jobs, or only paused ones
   */
  plan(now: number, guesses: ReadonlyMap<Job, readonly number[]> = new Map()): StepPlan | null {
    const decoding = this.#decoding();
    const prefilling = [...this.running].filter((job) => !job.paused && !isDecoding(job));
    const budget = this.#budget(decoding.length);
    const forPrompts = Math.min(LEAST_PREFILL, sum(prefilling.map(({ pending }) => pending)));
    const entries: PlannedRows[] = [];
    const most = Math.max(1, this.#maxRows - forPrompts);
    let rows = 0;
    for (const job of decoding) {
      if (rows === most) break;
      const count = Math.min(job.pending, most - rows);
      entries.push(this.#entry(job, count, [], 'lookup'));
      rows += count;
    }
    rows += this.#draft(entries, rows, budget - rows - forPrompts, guesses);
    let left = Math.min(this.#maxRows - rows, Math.max(budget - rows, forPrompts));
    for (const job of this.#admission.inOrder(prefilling, now, this.#tokenMs())) {
      if (left <= 0) break;
      this.#catchUp(job);
      if (job.promptRows === 'last' && entries.some((entry) => this.#computesFor(entry, job))) continue;
      const count = Math.min(left, job.pending);
      entries.push(this.#entry(job, count, [], 'lookup'));
      left -= count;
      rows += count;
    }
    if (entries.length === 0) return null;
    this.#step++;
    for (const { job } of entries) {
      job.lastStep = this.#step;
      job.startedAt ??= now;
    }
    return { entries, rows };
  }

  /**
   * The rows of an entry have been computed.
   * @param drawn the tokens drawn from its logits, in order: one more than drafted ones were accepted; none without
   * logits
   * @param forced tokens that follow these without being drawn
   */
  commit(
    { job, tokens, position, drafted, draftedBy }: PlannedRows,
    drawn: readonly number[],
    now: number,
    forced: readonly number[] = [],
  ): void {
    if (job.sequence === null) return;
    if (drawn.length > 0) job.prefilledAt ??= now;
    const accepted = Math.max(0, drawn.length - 1);
    const computed = position + tokens.length - drafted.length + accepted;
    job.tokens.push(...drawn, ...forced);
    this.#kv.advance(job.sequence, job.tokens, computed);
    const prompt = Math.max(0, Math.min(computed, job.promptLength) - Math.max(position, job.reached));
    job.reached = Math.max(job.reached, computed);
    this.#admission.charge(job.user, prompt + drawn.length + forced.length);
    // An answer longer than expected is expected to go on for as long again.
    if (job.generated >= job.expected) job.expected = Math.min(2 * job.generated, job.maxTokens);
    if (drafted.length === 0) return;
    const right = drawn.filter((token, i) => token === drafted[i]).length;
    (draftedBy === 'lookup' ? job.lookupControl : job.modelControl).observe(
      // An answer that ended within its draft says nothing about the rest of it.
      right === drawn.length ? right : drafted.length,
      right,
    );
  }

  /** Jobs that are to decode, who had a row longest ago first. */
  #decoding(): Job[] {
    const ready = [...this.running].filter((job) => !job.paused && isDecoding(job));
    if (ready.length <= 1) return ready;
    const service = new Map(ready.map(({ user }) => [user, this.service(user)]));
    const key = (job: Job): readonly number[] => [
      job.priority === 'batch' ? 1 : 0,
      service.get(job.user)!,
      job.lastStep,
    ];
    return sortBy(ready, key);
  }

  /** Rows of the next step; all that there are where nobody decodes. */
  #budget(decoding: number): number {
    return decoding === 0 ? this.#maxRows : this.#rowsInTime();
  }

  #rowsInTime(): number {
    return rowsInTime(this.cost, this.running, this.waiting);
  }

  #draft(entries: PlannedRows[], decoding: number, room: number, guesses: ReadonlyMap<Job, readonly number[]>): number {
    let rows = decoding;
    let expected = entries.length;
    for (const [i, { job }] of entries.entries()) {
      if (job.pending > 1) continue;
      const most = Math.min(room - (rows - decoding), mostDraft(job));
      if (most <= 0) continue;
      const price = { rowMs: this.cost.slope(rows), stepMs: this.cost.ms(rows), stepTokens: expected };
      const found = this.#lookup(job, price, most);
      const [drafted, by] =
        found.length > 0 ? ([found, 'lookup'] as const) : ([guesses.get(job) ?? [], 'model'] as const);
      const used = drafted.slice(0, most);
      if (used.length === 0) continue;
      const { acceptance } = by === 'lookup' ? job.lookupControl : job.modelControl;
      for (let n = 1; n <= used.length; n++) expected += acceptance ** n;
      rows += used.length;
      entries[i] = this.#entry(job, 1, used, by);
    }
    return rows - decoding;
  }

  #lookup(job: Job, price: DraftPrice, most: number): number[] {
    if (!this.#promptLookup) return [];
    const length = job.lookupControl.length(price, most);
    const found = job.lookup.guess(job.tokens, Math.max(1, length));
    if (found.length > 0 && length === 0) job.lookupControl.skipped();
    return length === 0 ? [] : found;
  }

  #entry(job: Job, count: number, drafted: readonly number[], draftedBy: DraftSource): PlannedRows {
    const { computed } = job.sequence!;
    const tokens = [...job.tokens.slice(computed, computed + count), ...drafted];
    this.#kv.grow(job.sequence!, computed + tokens.length);
    const wanted = job.wanted(count) + drafted.length;
    const outputs = job.output === 'logits' ? { logits: wanted, hidden: 0 } : { logits: 0, hidden: wanted };
    return { job, tokens, position: computed, pages: [...job.sequence!.pages], ...outputs, drafted, draftedBy };
  }

  /** Whether an entry is about to compute the page that a job needs next: then it is there after the step, for both. */
  #computesFor({ job: other, position }: PlannedRows, job: Job): boolean {
    const page = Math.floor(job.sequence!.computed / KV_PAGE);
    const end = (page + 1) * KV_PAGE;
    if (Math.floor(position / KV_PAGE) !== page || end > job.tokens.length - 1 || end > other.tokens.length)
      return false;
    for (let i = 0; i < end; i++) if (other.tokens[i] !== job.tokens[i]) return false;
    return true;
  }

  #catchUp(job: Job): void {
    job.credit(this.#kv.catchUp(job.sequence!, job.takenOver));
  }

  /** What a token takes in a full step. */
  #tokenMs(): number {
    const rows = this.mostRunning;
    const ms = this.cost.ms(rows) / rows;
    return ms > 0 ? ms : DEFAULT_TOKEN_MS;
  }
}

/** Whether a job goes on with its answer: by the last token, and those that were not drawn but forced. */
const isDecoding = (job: Job): boolean => job.pending === 1 || (job.generated > 1 && job.pending <= 1 + MOST_FORCED);

/** Most tokens that may be drafted for a job: no more than it may still need, and one is drawn in any case. */
const mostDraft = (job: Job): number =>
  Math.min(MAX_DRAFT, job.mostPositions - job.tokens.length, job.maxTokens - job.generated - 1);

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
