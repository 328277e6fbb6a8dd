import { parentPort, workerData } from 'node:worker_threads';
import type { ArenaHandle } from '../../kernels/arena.ts';
import { openKernels } from '../../kernels/create-kernels.ts';
import { WORD, waitWhile } from './control-block.ts';
import type { EngineLayout } from './layout.ts';
import { TaskRunner } from './task-runner.ts';

/** What a worker is started with. */
export interface WorkerData {
  readonly handle: ArenaHandle;
  readonly layout: EngineLayout;
  readonly words: Int32Array;
  readonly thread: number;
  /** The word whose changes are this worker's jobs: every job, or only those with streamed tiles. */
  readonly jobWord: typeof WORD.job | typeof WORD.streamedJob;
}

/** The life of a compute thread: sleep until there is a job, take tasks until none is left, again. */
function work({ handle, layout, words, thread, jobWord }: WorkerData): void {
  const runner = new TaskRunner(openKernels(handle), handle, layout, words, thread);
  for (let job = 0; ; ) {
    job = waitWhile(words, jobWord, job);
    if (Atomics.load(words, WORD.stop) !== 0) return;
    runner.begin(job);
    runner.run((error) => parentPort?.postMessage(error instanceof Error ? error.message : String(error)));
  }
}

work(workerData as WorkerData);
