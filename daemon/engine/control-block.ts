import type { RowRange } from './step.ts';

/**
 * The words that threads of an engine share, as indices into one Int32Array. A job is published by closing CLAIM,
 * writing its fields, and then CLAIM and JOB; workers take tasks by compare-and-swap on CLAIM.
 */
export const WORD = {
  /** Number of the current job; workers wait on it. */
  job: 0,
  /**
   * Job number (low 15 bits) << 16 | next task. One word, so that a late worker cannot take a task of a job it has not
   * read.
   */
  claim: 1,
  /** Tasks of the current job that have finished. */
  done: 2,
  /** Number of the last finished job; the main thread waits on it. */
  finished: 3,
  layer: 4,
  phase: 5,
  rows: 6,
  /** A FAILURE value, set by any task. */
  failure: 8,
  /** Set once: workers leave. */
  stop: 9,
  /** Microseconds that the threads together have waited for tiles in the current job. */
  waited: 7,
  /**
   * Number of the last job with streamed tiles, which the main thread leaves to the workers; the last worker waits on
   * it.
   */
  streamedJob: 10,
  /** The first of the job's rows. */
  firstRow: 11,
  /** Tasks of the job, and whether they are those of RoutePlaces.tasks instead of all of the phase. */
  tasks: 12,
  listed: 13,
  /**
   * From here, one word a thread: number of the last job whose sums that thread holds. Then one word a key/value tile:
   * the last job that computed it.
   */
  threads: 16,
} as const;

export const FAILURE = { none: 0, numeric: 1, exception: 2, tile: 3 } as const;

/**
 * Loads of a word before a waiting thread sleeps: some tens of microseconds, about what lies between two phases on one
 * device. Never without bound: home devices are busy.
 */
const SPINS = 16_000;

/** Spins for a bounded time while a word is `value`; returns what it is in the end. */
export function spinWhile(words: Int32Array, index: number, value: number): number {
  for (let i = 0; i < SPINS; i++) {
    const now = Atomics.load(words, index);
    if (now !== value) return now;
  }
  return value;
}

/** Waits, first spinning and then asleep, until a word differs from `value`; returns what it is then. */
export function waitWhile(words: Int32Array, index: number, value: number): number {
  for (;;) {
    const now = spinWhile(words, index, value);
    if (now !== value) return now;
    Atomics.wait(words, index, value);
  }
}

const claimWord = (job: number, task: number): number => ((job & 0x7fff) << 16) | task;

/** A task that no job has: nobody can claim it. */
const NO_TASK = 0xffff;

export interface Job {
  readonly layer: number;
  readonly phase: number;
  readonly rows: RowRange;
  readonly tasks: number;
  readonly listed: boolean;
}

/** Publishes a job, once all tasks of the one before are done. Those who wait for JOB are to be notified. */
export function publishJob(words: Int32Array, job: number, { layer, phase, rows, tasks, listed }: Job): void {
  // Before its fields: a worker that comes late to the job before may read these, and with them that there are more
  // tasks than the job before had.
  Atomics.store(words, WORD.claim, claimWord(job, NO_TASK));
  Atomics.store(words, WORD.layer, layer);
  Atomics.store(words, WORD.phase, phase);
  Atomics.store(words, WORD.firstRow, rows.first);
  Atomics.store(words, WORD.rows, rows.count);
  Atomics.store(words, WORD.tasks, tasks);
  Atomics.store(words, WORD.listed, listed ? 1 : 0);
  Atomics.store(words, WORD.done, 0);
  Atomics.store(words, WORD.waited, 0);
  Atomics.store(words, WORD.failure, FAILURE.none);
  Atomics.store(words, WORD.claim, claimWord(job, 0));
  Atomics.store(words, WORD.job, job);
}

/** Takes the next task of a job, or -1 when there is none left or the job is over. */
export function claimTask(words: Int32Array, job: number, tasks: number): number {
  for (;;) {
    const word = Atomics.load(words, WORD.claim);
    if (word >>> 16 !== (job & 0x7fff)) return -1;
    const task = word & 0xffff;
    if (task >= tasks) return -1;
    if (Atomics.compareExchange(words, WORD.claim, word, word + 1) === word) return task;
  }
}
