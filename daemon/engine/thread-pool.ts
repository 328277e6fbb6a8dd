import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Arena, ArenaHandle } from '../../kernels/arena.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import { StarlingError } from '../errors.ts';
import { LONGEST_TURN_MS } from '../turns.ts';
import { FAILURE, publishJob, spinWhile, WORD } from './control-block.ts';
import { HEAD, type Phase, type PhaseSpec } from './engine-spec.ts';
import { HotExperts } from './hot-experts.ts';
import { type EngineLayout, type PlacedTile, tasksOf } from './layout.ts';
import type { RowRange } from './step.ts';
import { TaskRunner } from './task-runner.ts';
import { WindowWords } from './window-words.ts';
import type { WorkerData } from './worker.ts';

const PHASE_NAMES = {
  norms: 'norms',
  attention: 'attention',
  ffn: 'feed-forward',
  experts: 'experts',
} as const satisfies Record<PhaseSpec['kind'], string>;

/** A streamed tile's places, in execution order and in the stream. */
type StreamedTile = { readonly place: number; readonly stream: number };

const streamedOf = (tasks: readonly PlacedTile[]): StreamedTile[] =>
  tasks.flatMap(({ place, stream }) => (stream === null ? [] : [{ place, stream }]));

/**
 * Heap of a thread, in MB: threads make little garbage, and a young generation of the usual size would fill with it.
 */
export const THREAD_LIMITS = { maxYoungGenerationSizeMb: 2 } as const;

/**
 * Compute threads over one engine's arena. One job at a time; its tasks are taken by whichever thread is free. The
 * calling thread computes with the workers instead of waiting for them, so that no thread has to be woken to hear that
 * the job is done. Jobs with streamed tiles it leaves to them, as it must not wait for a disk; only there the last
 * worker takes part, so that there are never more threads at work than were asked for.
 */
export class ThreadPool {
  readonly #layout: EngineLayout;
  readonly #words: Int32Array;
  readonly #workers: Worker[] = [];
  #job = 0;
  #exception: string | undefined;
  #died: StarlingError | undefined;
  readonly #keepAlive: NodeJS.Timeout;
  /** When the event loop last had its turn, as far as is known here. */
  #turned = 0;
  readonly #runner: TaskRunner;
  readonly #window: WindowWords | null;
  readonly #hot: HotExperts;
  /** Of each phase with any: the tiles that are streamed. */
  readonly #streamed: ReadonlyMap<readonly PlacedTile[], readonly StreamedTile[]>;
  readonly #tileFailure: () => StarlingError | undefined;

  /**
   * @param kernels the calling thread's, over the same arena; `layout.threads` has buffers for it after those of the
   * workers
   * @param tileFailure why a streamed tile could not be had, once one could not
   */
  constructor(
    layout: EngineLayout,
    kernels: Kernels,
    handle: ArenaHandle,
    tileFailure: () => StarlingError | undefined = () => undefined,
  ) {
    this.#layout = layout;
    this.#window = layout.window === null ? null : new WindowWords(layout.window);
    this.#hot = new HotExperts(layout);
    this.#streamed = new Map([...layout.tasks.flat(), layout.headTasks].map((tasks) => [tasks, streamedOf(tasks)]));
    this.#tileFailure = tileFailure;
    const words = WORD.threads + layout.threads.length + layout.kv.size;
    this.#words = new Int32Array(new SharedArrayBuffer(words * 4));
    this.#runner = new TaskRunner(kernels, handle, layout, this.#words, layout.threads.length - 1);
    this.#keepAlive = setInterval(() => {}, 2 ** 30).unref();
  }

  /** Starts the threads and returns when every one is running. */
  async start(arena: Arena): Promise<void> {
    const workers = this.#layout.threads.length - 1;
    const started = Array.from({ length: workers }, (_, thread) => {
      const jobWord = thread === workers - 1 ? WORD.streamedJob : WORD.job;
      const workerData: WorkerData = {
        handle: arena.handle(),
        layout: this.#layout,
        words: this.#words,
        thread,
        jobWord,
      };
      const worker = new Worker(new URL('./worker.js', import.meta.url), {
        workerData,
        name: `starling-${thread}`,
        resourceLimits: THREAD_LIMITS,
      });
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
   * Computes tasks of a layer's phase for some rows of the step.
   * @param listed the places in RoutePlaces.tasks, where it is those; otherwise it is all of the phase
   * @returns milliseconds that the threads, on average, waited for tiles
   * @throws StarlingError numeric_overflow naming layer and phase; internal when a thread fails; why a tile cannot be
   * had
   */
  async run(layer: number, phase: Phase, rows: RowRange, listed: Uint32Array | null = null): Promise<number> {
    const tasks = tasksOf(this.#layout, layer, phase);
    const count = (listed ?? tasks).length;
    const streams = this.#beginPhase(tasks, listed);
    if (count === 0) return 0;
    if (this.#died !== undefined) throw this.#died;
    const words = this.#words;
    const job = (this.#job + 1) | 0;
    this.#job = job;
    publishJob(words, job, { layer, phase, rows, tasks: count, listed: listed !== null });
    Atomics.notify(words, WORD.job);
    if (streams) {
      Atomics.store(words, WORD.streamedJob, job);
      Atomics.notify(words, WORD.streamedJob);
    } else {
      await this.#computeAlong(job);
    }
    await this.#finished(job);
    this.#hot.end();
    const failure = Atomics.load(words, WORD.failure);
    const where = phase === HEAD ? 'in the head' : `in layer ${layer}, ${this.#nameOf(layer, phase)} phase`;
    if (failure === FAILURE.numeric) {
      throw new StarlingError(
        'numeric_overflow',
        `a value ${where} is not finite or too large for exact sums: the model file is damaged or its weights are out of range`,
      );
    }
    if (failure === FAILURE.exception) {
      throw new StarlingError('internal', `a compute thread failed ${where}: ${this.#exception ?? 'see the log'}`);
    }
    if (failure === FAILURE.tile) {
      throw this.#tileFailure() ?? new StarlingError('internal', `a tile ${where} did not arrive`);
    }
    return Atomics.load(words, WORD.waited) / 1000 / this.#workers.length;
  }

  /** Tells that nothing will finish any more, for a reason outside these threads. */
  fail(reason: string): void {
    this.#die(reason);
  }

  /** Whether a thread holds sums of the last job. */
  hasSums(thread: number): boolean {
    return Atomics.load(this.#words, WORD.threads + thread) === this.#job;
  }

  async stop(): Promise<void> {
    Atomics.store(this.#words, WORD.stop, 1);
    for (const word of [WORD.job, WORD.streamedJob]) {
      Atomics.add(this.#words, word, 1);
      Atomics.notify(this.#words, word);
    }
    this.#die('the engine was stopped');
    clearInterval(this.#keepAlive);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #nameOf(layer: number, phase: Phase): string {
    return PHASE_NAMES[this.#layout.spec.layers[layer]![phase]!.kind];
  }

  async #computeAlong(job: number): Promise<void> {
    const onException = (error: unknown): void => {
      this.#exception = error instanceof Error ? error.message : String(error);
    };
    this.#runner.begin(job);
    while (!this.#runner.run(onException, this.#turned + LONGEST_TURN_MS)) {
      await nextTurn();
      this.#turned = performance.now();
    }
  }

  /** Tells the readers which tiles come next. @returns whether any of those that are computed are streamed */
  #beginPhase(tasks: readonly PlacedTile[], listed: Uint32Array | null): boolean {
    const streamed = this.#streamed.get(tasks) ?? [];
    const [first] = streamed;
    if (this.#window === null || first === undefined) return false;
    if (listed === null) {
      this.#window.beginPhase(first.stream, streamed.length);
      return true;
    }
    const wanted = new Set(listed);
    const chosen = new Set(streamed.filter(({ place }) => wanted.has(place)).map(({ stream }) => stream));
    this.#window.beginPhase(first.stream, streamed.length, chosen);
    this.#hot.begin(tasks, wanted);
    return chosen.size > 0;
  }

  async #finished(job: number): Promise<void> {
    let last = this.#last();
    if (last !== job) last = spinWhile(this.#words, WORD.finished, last);
    if (last === job) return;
    // A pending waitAsync does not keep the process alive.
    this.#keepAlive.ref();
    for (; last !== job; last = this.#last()) {
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
