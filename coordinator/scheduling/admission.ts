import type { KvCache } from '../kv/kv-cache.ts';
import { AnswerLengths } from './answer-lengths.ts';
import { FairShares } from './fair-shares.ts';
import type { Job } from './job.ts';
import { sortBy } from './sort-by.ts';

/** Who waits this long for room in the KV cache is not overtaken any more by those who need less. */
const PATIENCE_MS = 5000;
/**
 * Who waits this long comes before all others of the same user, in order of arrival: nobody is overtaken for longer.
 */
const AGED_MS = 60_000;
/**
 * Tokens that a running job counts in its user's service ahead of time, so that many who come at once do not all enter
 * for one user.
 */
const CLAIM = 32;
/** Tokens by which a user may be ahead of another before texts of the one yield to those of the other. */
const LEAD = 256;
/** Jobs that are looked at in vain before the others have to wait for the next time: looking costs time too. */
const MOST_PASSED = 32;
/** Batch work that has waited this long counts as interactive, so that it gets done on a busy day too. */
const BATCH_PATIENCE_MS = 300_000;
/** How often to look who may enter while nothing changes: patience runs out, and the step's rows may have changed. */
const LOOK_AGAIN_MS = 1000;

/** How fast work is done at present. */
export interface Pace {
  /** Jobs that may run at a time. */
  readonly mostRunning: number;
  /** What a token takes in a full step. */
  readonly tokenMs: number;
}

/**
 * Decides who runs. Among users the one with the least service comes first, each running job counting something in
 * advance; within a user, the highest response ratio (waited + needed) / needed: short jobs first, and who waits long
 * comes too (Brinch Hansen 1971); who has waited for AGED_MS is overtaken no more. A job runs once the KV cache has
 * promised it all that it can come to need.
 */
export class Admission {
  readonly #kv: KvCache;
  readonly #shares = new FairShares();
  readonly #lengths = new AnswerLengths();
  readonly #waiting = new Set<Job>();
  readonly #running = new Set<Job>();
  #preemptions = 0;
  /** When to look next for who may enter, if nothing changes before. */
  #lookAgainAt = Number.NEGATIVE_INFINITY;

  constructor(kv: KvCache) {
    this.#kv = kv;
  }

  get waiting(): ReadonlySet<Job> {
    return this.#waiting;
  }

  get running(): ReadonlySet<Job> {
    return this.#running;
  }

  /** Times that a job had to yield to another, or to a move of tiles. */
  get preemptions(): number {
    return this.#preemptions;
  }

  /** Tokens computed for a user, as fair shares count them. */
  service(user: string): number {
    return this.#shares.service(user);
  }

  charge(user: string, tokens: number): void {
    this.#shares.charge(user, tokens);
  }

  submit(job: Job): void {
    const present = new Set([...this.#waiting, ...this.#running].map(({ user }) => user));
    if (!present.has(job.user)) this.#shares.join(job.user, present);
    job.expected = this.#lengths.estimate(job.user, job.promptLength, job.maxTokens);
    this.#waiting.add(job);
    this.#changed();
  }

  /** The job's client has stopped to read, or goes on. */
  pause(job: Job, paused: boolean): void {
    job.paused = paused;
    this.#changed();
  }

  /** Has all that run wait, with the tokens they have: nothing reads the KV cache then. */
  yieldAll(now: number): void {
    for (const job of this.#running) {
      this.#close(job);
      job.waitingSince = now;
      this.#waiting.add(job);
    }
    this.#preemptions += this.#running.size;
    this.#running.clear();
    this.#changed();
  }

  /** The job is over: finished, failed or given up. */
  remove(job: Job, finished: boolean): void {
    this.#waiting.delete(job);
    this.#running.delete(job);
    this.#close(job);
    this.#changed();
    if (finished && job.maxTokens > 0) this.#lengths.observe(job.user, job.promptLength, job.generated);
  }

  /** Lets in who may run now. */
  admit(now: number, pace: Pace): void {
    if (this.#waiting.size === 0 || now < this.#lookAgainAt) return;
    this.#lookAgainAt = now + LOOK_AGAIN_MS;
    let left = this.inOrder(
      [...this.#waiting].filter(({ paused }) => !paused),
      now,
      pace.tokenMs,
    );
    for (let passed = 0; passed < MOST_PASSED && left.length > 0; ) {
      const [job, ...others] = left as [Job, ...Job[]];
      if (this.#enter(job, pace) || this.#makeRoom(job, now, pace)) {
        // Each that enters changes whose turn it is.
        left = this.inOrder(others, now, pace.tokenMs);
      } else {
        if (now - job.waitingSince > PATIENCE_MS) return;
        left = others;
        passed++;
      }
    }
  }

  #enter(job: Job, pace: Pace): boolean {
    if (this.#running.size >= pace.mostRunning) return false;
    const sequence = this.#kv.open(job.takenOver, job.mostPositions);
    if (sequence === null) return false;
    job.sequence = sequence;
    this.#waiting.delete(job);
    this.#running.add(job);
    job.credit(sequence.computed);
    return true;
  }

  /**
   * Has others yield, if that lets the job in. They keep their tokens, and their pages as long as nobody needs those.
   */
  #makeRoom(job: Job, now: number, pace: Pace): boolean {
    const yielded: Job[] = [];
    for (const victim of this.#victims(job, now)) {
      this.#close(victim);
      this.#running.delete(victim);
      yielded.push(victim);
      if (!this.#enter(job, pace)) continue;
      for (const other of yielded) {
        other.waitingSince = now;
        this.#waiting.add(other);
      }
      this.#preemptions += yielded.length;
      return true;
    }
    // In vain: all is as it was.
    for (const victim of yielded) {
      this.#waiting.add(victim);
      this.#enter(victim, pace);
    }
    return false;
  }

  /**
   * Who has to yield to a job: clients that do not read; batch work to interactive work; and the newest of a user who
   * runs more jobs than this one's user, if that one has none or is behind by LEAD tokens.
   */
  #victims(job: Job, now: number): Job[] {
    const running = [...this.#running].reverse();
    const paused = running.filter((other) => other.paused);
    const lower = running.filter((other) => !other.paused && this.#class(other, now) > this.#class(job, now));
    const victims = [...paused, ...lower];
    const counts = new Map<string, number>();
    for (const { user } of running) counts.set(user, (counts.get(user) ?? 0) + 1);
    const own = counts.get(job.user) ?? 0;
    const service = this.service(job.user);
    const owes = (other: Job): boolean =>
      other.user !== job.user &&
      this.#class(other, now) === this.#class(job, now) &&
      counts.get(other.user)! > own + 1 &&
      (own === 0 || this.service(other.user) > service + LEAD);
    const richest = sortBy(
      running.filter((other) => !other.paused && owes(other)),
      (other) => [-counts.get(other.user)!],
    );
    // One of them at most: each that enters changes who owes.
    return [...victims, ...richest.slice(0, 1)];
  }

  #class(job: Job, now: number): number {
    return job.priority === 'batch' && now - job.arrived < BATCH_PATIENCE_MS ? 1 : 0;
  }

  /** By class, then the users' service with a claim for each running job, then the age, then the response ratio. */
  inOrder(jobs: readonly Job[], now: number, tokenMs: number): Job[] {
    if (jobs.length <= 1) return [...jobs];
    const claims = new Map<string, number>();
    for (const { user } of jobs) claims.set(user, this.service(user));
    for (const job of this.#running) {
      const claim = claims.get(job.user);
      if (claim !== undefined) claims.set(job.user, claim + CLAIM);
    }
    return sortBy(jobs, (job) => {
      const needed = job.remaining * tokenMs;
      const waited = now - job.arrived;
      const turn = waited > AGED_MS ? [0, job.arrived] : [1, -(waited + needed) / needed];
      return [this.#class(job, now), claims.get(job.user)!, ...turn];
    });
  }

  #close(job: Job): void {
    if (job.sequence === null) return;
    this.#kv.close(job.sequence, job.tokens);
    job.sequence = null;
  }

  #changed(): void {
    this.#lookAgainAt = Number.NEGATIVE_INFINITY;
  }
}
