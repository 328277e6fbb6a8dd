import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../daemon/log.ts';
import { Turns } from '../../daemon/turns.ts';
import { type Batch, begun, ended, failed, finalizing, hasEnded, isOverdue, nextBatches } from './batch.ts';
import { BatchRun, type Execute } from './batch-run.ts';
import type { BatchStore } from './batch-store.ts';
import type { FileStore } from './file-store.ts';
import { openInput, readInput } from './input-file.ts';
import type { InputFault } from './request-line.ts';
import { ResultsFile } from './results-file.ts';

export interface BatchRunnerOptions {
  readonly store: BatchStore;
  readonly files: FileStore;
  readonly execute: Execute;
  /**
   * How many requests are worth having under way at present: as many as are computed at a time, and a few that wait.
   */
  readonly parallel: () => number;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From one try of a request to the next. */
  readonly retryMs: number;
}

/** After the disk refused: somebody may have made room by then. */
const PAUSE_MS = 60_000;
/** What a timer can wait. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

interface Work {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

/** Takes batches from one state to the next, and goes on after a restart with what was not done. */
export class BatchRunner {
  readonly #options: BatchRunnerOptions;
  readonly #stop = new AbortController();
  readonly #active = new Map<string, Work>();
  readonly #checks = new Turns();
  #computing = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BatchRunnerOptions) {
    this.#options = options;
  }

  /** Begins what is to be done and is not under way; to be called whenever that may have changed. */
  wake(): void {
    if (this.#stop.signal.aborted) return;
    const batches = this.#options.store.all();
    const now = this.#seconds();
    for (const batch of batches) {
      const isUnwanted = batch.status === 'cancelling' || isOverdue(batch, now);
      if (isUnwanted) this.#active.get(batch.id)?.abort.abort();
    }
    for (const batch of [...batches.filter(({ status }) => status === 'validating'), ...nextBatches(batches, now)]) {
      if (!this.#active.has(batch.id)) this.#begin(batch);
    }
    this.#wakeAtExpiry(batches, now);
  }

  /** Ends what is under way; batches stay as they are on the disk. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await Promise.all([...this.#active.values()].map(({ done }) => done));
  }

  #begin(batch: Batch): void {
    const abort = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, abort.signal]);
    const isNew = batch.status === 'validating';
    const work = isNew ? this.#checks.take(() => this.#validate(batch)) : this.#compute(batch, signal);
    const done = work
      .catch(async (thrown: unknown) => {
        this.#options.log.error(
          { err: thrown, batch: batch.id },
          'a batch cannot go on; it is tried again in a minute',
        );
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
      })
      .finally(() => {
        this.#active.delete(batch.id);
        this.wake();
      });
    this.#active.set(batch.id, { abort, done });
  }

  async #validate({ id, endpoint, inputFileId }: Batch): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { store, files } = this.#options;
    const { requests, faults } = (await files.isThere(inputFileId))
      ? await readInput(files.pathOf(inputFileId), endpoint)
      : { requests: [], faults: [GONE] };
    await store.change(id, (batch) =>
      faults.length > 0 ? failed(batch, faults, this.#seconds()) : begun(batch, requests.length, this.#seconds()),
    );
  }

  async #compute(batch: Batch, signal: AbortSignal): Promise<void> {
    const { store, files } = this.#options;
    const { id, owner, resultFiles } = batch;
    const done = new Set<string>();
    const counts = { ...batch.counts, completed: 0, failed: 0 };
    const note = (customId: string, isCompleted: boolean): void => {
      done.add(customId);
      counts[isCompleted ? 'completed' : 'failed']++;
    };
    const openResults = (fileId: string, isCompleted: boolean): Promise<ResultsFile> =>
      ResultsFile.open(files.pathOf(fileId), files.budget, (customId) => note(customId, isCompleted));
    const output = await openResults(resultFiles.output, true);
    try {
      const errors = await openResults(resultFiles.error, false);
      try {
        const isWhole = await this.#computeInto({ batch, signal, done, note, output, errors, counts });
        if (!isWhole) return;
      } finally {
        await errors.close();
      }
    } finally {
      await output.close();
    }
    const outputFileId = await files.publish(resultFiles.output, owner, `${id}_output.jsonl`);
    const errorFileId = await files.publish(resultFiles.error, owner, `${id}_error.jsonl`);
    await store.change(id, (now) => ended(now, { outputFileId, errorFileId, counts }, this.#seconds()));
  }

  /** @returns whether the results are all that there will be */
  async #computeInto({ batch, signal, done, note, output, errors, counts }: Computation): Promise<boolean> {
    const { store, files, execute, parallel, retryMs } = this.#options;
    const { id, owner, endpoint } = batch;
    const path = files.pathOf(batch.inputFileId);
    // Cancelled, or with all its results: its input is of no interest any more.
    if (batch.status !== 'in_progress') return true;
    const { requests, faults } = (await files.isThere(batch.inputFileId))
      ? await readInput(path, endpoint)
      : { requests: [], faults: [GONE] };
    if (faults.length > 0) {
      await store.change(id, (now) => failed(now, faults, this.#seconds()));
      return false;
    }
    const left = () => requests.filter(({ customId }) => !done.has(customId));
    store.count(id, { ...counts });
    const input = await openInput(path, endpoint);
    this.#computing++;
    try {
      const run = new BatchRun({
        owner,
        input,
        output,
        errors,
        execute,
        parallel: () => Math.floor(parallel() / this.#computing),
        onResult: (customId, isCompleted) => {
          note(customId, isCompleted);
          store.count(id, { ...counts });
        },
        retryMs,
      });
      if (!isOverdue(batch, this.#seconds())) await run.compute(left(), signal);
      if (this.#stop.signal.aborted) return false;
      const after = await store.change(id, (now) => (left().length === 0 ? finalizing(now, this.#seconds()) : now));
      if (isOverdue(after, this.#seconds())) await run.expire(left());
      return after.status !== 'in_progress' || isOverdue(after, this.#seconds());
    } finally {
      this.#computing--;
      await input.close();
    }
  }

  #wakeAtExpiry(batches: readonly Batch[], now: number): void {
    clearTimeout(this.#timer);
    const next = Math.min(...batches.filter((b) => !hasEnded(b) && b.expiresAt > now).map((b) => b.expiresAt));
    if (next === Number.POSITIVE_INFINITY) return;
    const ms = Math.min(LONGEST_WAIT_MS, Math.max(0, next * 1000 - this.#options.now()));
    this.#timer = setTimeout(() => this.wake(), ms).unref();
  }

  #seconds(): number {
    return Math.floor(this.#options.now() / 1000);
  }
}

interface Computation {
  readonly batch: Batch;
  readonly signal: AbortSignal;
  /** Custom ids of requests that have a result. */
  readonly done: Set<string>;
  readonly note: (customId: string, isCompleted: boolean) => void;
  readonly output: ResultsFile;
  readonly errors: ResultsFile;
  readonly counts: Batch['counts'];
}

const GONE: InputFault = {
  code: 'file_not_found',
  message: 'the input file is gone',
  param: 'input_file_id',
  line: null,
};
