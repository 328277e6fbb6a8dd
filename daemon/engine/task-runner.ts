import type { ArenaHandle } from '../../kernels/arena.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import { TileComputer } from './compute-tile.ts';
import { claimTask, FAILURE, WORD, waitWhile } from './control-block.ts';
import { PHASE, type Phase } from './engine-spec.ts';
import { type EngineLayout, kvKey, type PlacedTile, tasksOf } from './layout.ts';
import type { RowRange } from './step.ts';
import { WindowWords } from './window-words.ts';

/** One thread's part in a job: takes tasks until none is left. */
export class TaskRunner {
  readonly #layout: EngineLayout;
  readonly #words: Int32Array;
  readonly #computer: TileComputer;
  readonly #sumsWord: number;
  readonly #kvWords: ReadonlyMap<string, number>;
  readonly #window: WindowWords | null;

  /** @param thread which of the layout's buffers are this thread's */
  constructor(kernels: Kernels, handle: ArenaHandle, layout: EngineLayout, words: Int32Array, thread: number) {
    this.#layout = layout;
    this.#words = words;
    this.#computer = new TileComputer(kernels, handle, layout, layout.threads[thread]!);
    this.#sumsWord = WORD.threads + thread;
    const first = WORD.threads + layout.threads.length;
    this.#window = layout.window === null ? null : new WindowWords(layout.window);
    this.#kvWords = new Map([...layout.kv.keys()].map((key, i) => [key, first + i]));
  }

  /** @param onException told what a task threw; the job counts as failed, and goes on so that nobody waits for ever */
  run(job: number, onException: (error: unknown) => void): void {
    const words = this.#words;
    const rows: RowRange = { first: Atomics.load(words, WORD.firstRow), count: Atomics.load(words, WORD.rows) };
    const phase = Atomics.load(words, WORD.phase) as Phase;
    const tasks = tasksOf(this.#layout, Atomics.load(words, WORD.layer), phase);
    const awaitKv = (layer: number, kvHead: number): void => {
      const word = this.#kvWords.get(kvKey(layer, kvHead))!;
      for (let now = Atomics.load(words, word); now !== job; now = waitWhile(words, word, now));
    };
    let fresh = true;
    for (let i = claimTask(words, job, tasks.length); i >= 0; i = claimTask(words, job, tasks.length)) {
      const tile = tasks[i]!;
      try {
        if (!this.#arrived(tile)) Atomics.store(words, WORD.failure, FAILURE.tile);
        else if (!this.#computer.compute(tile, rows, fresh, awaitKv))
          Atomics.store(words, WORD.failure, FAILURE.numeric);
      } catch (error) {
        Atomics.store(words, WORD.failure, FAILURE.exception);
        onException(error);
      }
      if (fresh && tile.kind !== 'kv' && phase !== PHASE.head) {
        Atomics.store(words, this.#sumsWord, job);
        fresh = false;
      }
      if (tile.stream !== null) this.#window?.release(tile.stream);
      if (tile.kind === 'kv') {
        const word = this.#kvWords.get(kvKey(tile.shape.layer, tile.shape.first))!;
        Atomics.store(words, word, job);
        Atomics.notify(words, word);
      }
      if (Atomics.add(words, WORD.done, 1) + 1 === tasks.length) {
        Atomics.store(words, WORD.finished, job);
        Atomics.notify(words, WORD.finished);
      }
    }
  }

  /** Waits for a tile that is streamed. @returns false when it cannot be had */
  #arrived({ stream }: PlacedTile): boolean {
    if (stream === null || this.#window === null) return true;
    const waited = this.#window.awaitTile(stream);
    if (waited > 0) Atomics.add(this.#words, WORD.waited, Math.round(waited * 1000));
    return !this.#window.failed;
  }
}
