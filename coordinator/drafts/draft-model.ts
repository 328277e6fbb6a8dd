import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import { KvCache, type KvSequence } from '../kv/kv-cache.ts';
import type { LanguageModel, SequenceRows } from '../language-model.ts';
import type { Job } from '../scheduling/job.ts';
import type { DraftWish } from '../scheduling/scheduler.ts';

/** The token that a job would draw from these logits if its text went on with these guesses. */
export type Draw = (job: Job, logits: Float32Array, guesses: readonly number[]) => number;

interface Follower {
  readonly sequence: KvSequence;
  /**
   * Tokens whose keys and values the draft model has written: the text as far as it knows it, then its last guesses.
   */
  written: number[];
}

/**
 * Single rows computed to see how long one takes; the first few are slower, while code is compiled and weights are
 * fetched.
 */
const TRIALS = 9;
const RATE = 0.2;

/**
 * A small model that guesses what the large one will say (Leviathan et al. 2023), for many texts at a time. Guesses are
 * drawn with the text's own random numbers, so that where both models see the same distribution they draw the same
 * token.
 */
export class DraftModel {
  readonly #model: LanguageModel;
  readonly #kv: KvCache;
  readonly #followers = new Map<Job, Follower>();
  #tokenMs: number;

  /**
   * @param model of the same vocabulary, used by nobody else
   * @param tokenMs what a token is taken to need before one was measured
   */
  constructor(model: LanguageModel, tokenMs: number) {
    this.#model = model;
    this.#tokenMs = tokenMs;
    this.#kv = new KvCache(model.kvPages);
  }

  /** Computes a few rows to see how long one takes. */
  static async start(model: LanguageModel): Promise<DraftModel> {
    const times: number[] = [];
    for (let trial = 0; trial < TRIALS; trial++) {
      const started = performance.now();
      await model.step([{ tokens: [0], position: 0, pages: [0], logits: 1 }]);
      times.push(performance.now() - started);
    }
    return new DraftModel(model, Math.min(...times));
  }

  /** Milliseconds that one more token takes, whatever the number of texts. */
  get tokenMs(): number {
    return this.#tokenMs;
  }

  /**
   * Guesses the tokens that follow. A text that it has not read yet it reads first, a step's rows at a time, and
   * guesses nothing until it is through.
   */
  async guess(wishes: readonly DraftWish[], draw: Draw): Promise<Map<Job, number[]>> {
    const guesses = new Map<Job, number[]>();
    let active = await this.#read(wishes, draw, guesses);
    for (let ahead = 1; active.length > 0; ahead++) {
      // A text may have ended meanwhile.
      active = active.filter(({ job, length }) => length > ahead && this.#followers.has(job));
      active = active.filter(({ job }) => this.#room(job, guesses.get(job)!.length));
      if (active.length === 0) break;
      const started = performance.now();
      const logits = await this.#step(active.map(({ job }) => this.#rows(job, [guesses.get(job)!.at(-1)!])));
      for (const [i, { job }] of active.entries()) {
        const own = guesses.get(job)!;
        own.push(draw(job, logits[i]!, own));
      }
      this.#tokenMs += RATE * (performance.now() - started - this.#tokenMs);
    }
    return guesses;
  }

  /** The text is over. */
  forget(job: Job): void {
    const follower = this.#followers.get(job);
    if (follower === undefined) return;
    this.#followers.delete(job);
    this.#kv.close(follower.sequence, follower.written);
  }

  /** Brings the texts up to date, and guesses the first token of those that are. @returns the wishes of those */
  async #read(wishes: readonly DraftWish[], draw: Draw, guesses: Map<Job, number[]>): Promise<DraftWish[]> {
    const batch: SequenceRows[] = [];
    const upToDate: DraftWish[] = [];
    let left = MAX_ROWS;
    for (const wish of wishes) {
      const { job } = wish;
      const follower = this.#follow(job);
      if (follower === null) continue;
      const unread = job.tokens.slice(follower.written.length, follower.written.length + left);
      if (unread.length === 0) continue;
      left -= unread.length;
      const rows = this.#rows(job, unread);
      const done = follower.written.length === job.tokens.length;
      batch.push(done ? rows : { ...rows, logits: 0 });
      if (done) upToDate.push(wish);
    }
    const logits = await this.#step(batch);
    for (const [i, { job }] of upToDate.entries()) guesses.set(job, [draw(job, logits[i]!, [])]);
    return upToDate;
  }

  async #step(batch: readonly SequenceRows[]): Promise<Float32Array[]> {
    return batch.length === 0 ? [] : this.#model.step(batch);
  }

  /**
   * What it knows of a text, without guesses that proved wrong and without the last token, after which logits are
   * wanted.
   */
  #follow(job: Job): Follower | null {
    let follower = this.#followers.get(job);
    if (follower === undefined) {
      if (job.tokens.length > this.#model.contextLength) return null;
      const sequence = this.#kv.open(job.tokens, Math.min(job.mostPositions, this.#model.contextLength));
      if (sequence === null) return null;
      follower = { sequence, written: job.tokens.slice(0, sequence.computed) };
      this.#followers.set(job, follower);
    }
    if (!this.#room(job, 0)) return null;
    const most = Math.min(follower.written.length, job.tokens.length - 1);
    let agreed = Math.min(follower.sequence.computed, most);
    while (agreed < most && follower.written[agreed] === job.tokens[agreed]) agreed++;
    follower.written = follower.written.slice(0, agreed);
    this.#kv.advance(follower.sequence, job.tokens, agreed);
    return follower;
  }

  /** Whether it can compute as many guesses after the text, and the last token of the text itself. */
  #room(job: Job, guesses: number): boolean {
    return job.tokens.length + guesses <= Math.min(job.mostPositions, this.#model.contextLength);
  }

  #rows(job: Job, tokens: readonly number[]): SequenceRows {
    const follower = this.#followers.get(job)!;
    const position = follower.written.length;
    follower.written.push(...tokens);
    this.#kv.grow(follower.sequence, follower.written.length);
    return { tokens, position, pages: [...follower.sequence.pages], logits: 1 };
  }
}
