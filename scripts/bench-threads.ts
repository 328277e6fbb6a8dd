import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ArenaHandle } from '../kernels/arena.ts';
import { median } from './bench-statistics.ts';
import type { BenchJob, BenchTimes, BenchWorkerData } from './bench-worker.ts';

/** Fewest repetitions of a measurement. */
const LEAST_REPETITIONS = 3;
/** Times the seconds wanted that a measurement takes at most, handing over included. */
const LONGEST_TIMES = 4;

/** Threads that start a piece of work together and say how long it took. */
export class BenchThreads {
  readonly #workers: readonly Worker[];
  #expected = 0;

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  /** @param handles one a thread; null for a thread that reads memory only */
  static async start(handles: readonly (ArenaHandle | null)[]): Promise<BenchThreads> {
    const arrivals = new Int32Array(new SharedArrayBuffer(4));
    const workers = handles.map((handle) => {
      const workerData: BenchWorkerData = { handle, arrivals };
      return new Worker(new URL('./bench-worker.js', import.meta.url), { workerData });
    });
    await Promise.all(workers.map((worker) => once(worker, 'online')));
    return new BenchThreads(workers);
  }

  /**
   * Runs one piece of work on each of as many threads, once to warm up and then until `seconds` have passed.
   * @returns the median time of a repetition in seconds, from the first thread's start to the last one's end
   * @throws Error when a thread fails
   */
  async measure(works: readonly BenchJob['work'][], seconds: number): Promise<number> {
    await this.#run(works);
    const times: number[] = [];
    let measured = 0;
    // Very little work takes less than to hand it over: that is not waited for without end.
    const latest = performance.now() + LONGEST_TIMES * seconds * 1000;
    while ((measured < seconds && performance.now() < latest) || times.length < LEAST_REPETITIONS) {
      const time = await this.#run(works);
      times.push(time);
      measured += time;
    }
    return median(times);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #run(works: readonly BenchJob['work'][]): Promise<number> {
    this.#expected += works.length;
    const times = await Promise.all(
      works.map(async (work, thread): Promise<BenchTimes> => {
        const worker = this.#workers[thread];
        if (worker === undefined) throw new RangeError(`${works.length} pieces of work for ${thread} threads`);
        const answer = once(worker, 'message');
        worker.postMessage({ work, arrivals: this.#expected } satisfies BenchJob);
        return (await answer)[0];
      }),
    );
    const nanoseconds = Math.max(...times.map(({ end }) => end)) - Math.min(...times.map(({ start }) => start));
    // The clock may not have moved over very little work.
    return Math.max(nanoseconds, 1) / 1e9;
  }
}
