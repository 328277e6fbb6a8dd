import { parentPort, workerData } from 'node:worker_threads';
import type { ArenaHandle } from '../../kernels/arena.ts';
import { openKernels } from '../../kernels/create-kernels.ts';
import { TileComputer } from './compute-tile.ts';
import { claimTask, FAILURE, WORD, waitWhile } from './control-block.ts';
import { PHASE, type Phase } from './engine-spec.ts';
import { type EngineLayout, kvKey, tasksOf } from './layout.ts';

/** What a worker is started with. */
export interface WorkerData {
  readonly handle: ArenaHandle;
  readonly layout: EngineLayout;
  readonly words: Int32Array;
  readonly thread: number;
}

/** The life of a compute thread: sleep until there is a job, take tasks until none is left, again. */
function work({ handle, layout, words, thread }: WorkerData): void {
  const computer = new TileComputer(openKernels(handle), handle, layout, layout.threads[thread]!);
  const kvWord = new Map([...layout.kv.keys()].map((key, i) => [key, WORD.threads + layout.threads.length + i]));
  const sumsWord = WORD.threads + thread;
  let job = 0;

  const awaitKv = (layer: number, kvHead: number): void => {
    const word = kvWord.get(kvKey(layer, kvHead))!;
    for (let now = Atomics.load(words, word); now !== job; now = waitWhile(words, word, now));
  };

  for (;;) {
    job = waitWhile(words, WORD.job, job);
    if (Atomics.load(words, WORD.stop) !== 0) return;
    const rows = Atomics.load(words, WORD.rows);
    const phase = Atomics.load(words, WORD.phase) as Phase;
    const tasks = tasksOf(layout, Atomics.load(words, WORD.layer), phase);
    let started = false;
    for (let i = claimTask(words, job, tasks.length); i >= 0; i = claimTask(words, job, tasks.length)) {
      const tile = tasks[i]!;
      if (!started && phase !== PHASE.head) {
        computer.clearSums(rows);
        Atomics.store(words, sumsWord, job);
        started = true;
      }
      try {
        if (!computer.compute(tile, rows, awaitKv)) Atomics.store(words, WORD.failure, FAILURE.numeric);
      } catch (error) {
        Atomics.store(words, WORD.failure, FAILURE.exception);
        parentPort?.postMessage(error instanceof Error ? error.message : String(error));
      }
      if (tile.shape.kind === 'kv') {
        const word = kvWord.get(kvKey(tile.shape.layer, tile.shape.first))!;
        Atomics.store(words, word, job);
        Atomics.notify(words, word);
      }
      if (Atomics.add(words, WORD.done, 1) + 1 === tasks.length) {
        Atomics.store(words, WORD.finished, job);
        Atomics.notify(words, WORD.finished);
      }
    }
  }
}

work(workerData as WorkerData);
