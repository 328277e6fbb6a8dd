import { Worker } from 'node:worker_threads';
import type { Arena } from '../../kernels/arena.ts';
import { StarlingError } from '../errors.ts';
import { claimWord, FAILURE, WORD } from './control-block.ts';
import { PHASE, type Phase } from './engine-spec.ts';
import { type EngineLayout, tasksOf } from './layout.ts';
import type { WorkerData } from './worker.ts';

const PHASE_NAMES = { [PHASE.attention]: 'attention', [PHASE.ffn]: 'feed-forward', [PHASE.head]: 'head' };

/** Compute threads over one engine's arena. One job at a time; its tasks are taken by whichever thread is free. */
export class ThreadPool {
  readonly #layout: EngineLayout;
  readonly #words: Int32Array;
  readonly #workers: Worker[] = [];
  #job = 0;
  #exception: string | undefined;
  #died: StarlingError | undefined;
  readonly #keepAlive: NodeJS.Timeout;

  constructor(layout: EngineLayout) {
    this.#layout = layout;
    const words = WORD.threads + layout.threads.length + layout.kv.size;
    this.#words = new Int32Array(new SharedArrayBuffer(words * 4));
    this.#keepAlive = setInterval(() => {}, 2 ** 30).unref();
  }

  /** Starts the threads and returns when every one is running. */
  async start(arena: Arena): Promise<void> {
    const started = this.#layout.threads.map((_, thread) => {
      const workerData: WorkerData = { handle: arena.handle(), layout: this.#layout, words: this.#words, thread };
      const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData, name: `starling-${thread}` });
      this.#workers.push(worker);
      worker.on('message', (message: string) => {
        this.#exception = message;
      });
      worker.on('error', (error) => this.#die(error.message));
      return new Promise<void>((resolve, reject) => {
        worker.once('online', resolve);
        worker.once('error', reject);
      });
    });
    await Promise.all(started);
  }

  /**
   * Computes all tasks of a layer's phase for `rows` rows.
   * @throws StarlingError numeric_overflow naming layer and phase; internal when a thread fails
   */
  async run(layer: number, phase: Phase, rows: number): Promise<void> {
    const tasks = tasksOf(this.#layout, layer, phase).length;
    if (tasks === 0) return;
    if (this.#died !== undefined) throw this.#died;
    const words = this.#words;
    const job = (this.#job + 1) | 0;
    this.#job = job;
    Atomics.store(words, WORD.layer, layer);
    Atomics.store(words, WORD.phase, phase);
    Atomics.store(words, WORD.rows, rows);
    Atomics.store(words, WORD.tasks, tasks);
    Atomics.store(words, WORD.done, 0);
    Atomics.store(words, WORD.failure, FAILURE.none);
    Atomics.store(words, WORD.claim, claimWord(job, 0));
    Atomics.store(words, WORD.job, job);
    Atomics.notify(words, WORD.job);
    await this.#finished(job);
    const failure = Atomics.load(words, WORD.failure);
    const where = phase === PHASE.head ? 'in the head' : `in layer ${layer}, ${PHASE_NAMES[phase]} phase`;
    if (failure === FAILURE.numeric) {
      throw new StarlingError(
        'numeric_overflow',
        `a value ${where} is not finite or too large for exact sums: the model file is damaged or its weights are out of range`,
      );
    }
    if (failure === FAILURE.exception) {
      throw new StarlingError('internal', `a compute thread failed ${where}: ${this.#exception ?? 'see the log'}`);
    }
  }

  /** Threads that hold sums of the last job. */
  threadsWithSums(): number[] {
    return this.#layout.threads.flatMap((_, i) =>
      Atomics.load(this.#words, WORD.threads + i) === this.#job ? [i] : [],
    );
  }

  async stop(): Promise<void> {
    Atomics.store(this.#words, WORD.stop, 1);
    Atomics.add(this.#words, WORD.job, 1);
    Atomics.notify(this.#words, WORD.job);
    this.#die('the engine was stopped');
    clearInterval(this.#keepAlive);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #finished(job: number): Promise<void> {
    // A pending waitAsync does not keep the process alive.
    this.#keepAlive.ref();
    for (let last = this.#last(); last !== job; last = this.#last()) {
      await Atomics.waitAsync(this.#words, WORD.finished, last).value;
      if (this.#died !== undefined) break;
    }
    this.#keepAlive.unref();
    if (this.#died !== undefined) throw this.#died;
  }

  #last(): number {
    return Atomics.load(this.#words, WORD.finished);
  }

  /** A dead thread never notifies: wakes whoever waits for the current job. */
  #die(reason: string): void {
    this.#died ??= new StarlingError('internal', `compute threads are gone: ${reason}`);
    Atomics.sub(this.#words, WORD.finished, 1);
    Atomics.notify(this.#words, WORD.finished);
  }
}
