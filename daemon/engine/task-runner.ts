import { type ArenaHandle, viewOf, wordsOf } from '../../kernels/arena.ts';
import type { Address, Kernels } from '../../kernels/kernels.ts';
import { tileLayout } from '../tile/tile.ts';
import { TileComputer } from './compute-tile.ts';
import { claimTask, FAILURE, WORD, waitWhile } from './control-block.ts';
import { HEAD, type Phase } from './engine-spec.ts';
import { type EngineLayout, kvKey, tasksOf, tilesOf } from './layout.ts';
import { STAYS } from './occupants.ts';
import type { RowRange } from './step.ts';
import { WindowWords } from './window-words.ts';

/** A tile that is not streamed. */
const IN_MEMORY = -1;

/** One thread's part in a job: takes tasks until none is left. */
export class TaskRunner {
  readonly #layout: EngineLayout;
  readonly #words: Int32Array;
  readonly #computer: TileComputer;
  readonly #sumsWord: number;
  readonly #window: WindowWords | null;
  readonly #list: Uint32Array | null;
  /** By place: a tile's place among the streamed ones. */
  readonly #streams: Int32Array;
  /** By place: the first word of the key/value heads that a tile computes or attends to, and where those end. */
  readonly #kvFirst: Int32Array;
  readonly #kvEnd: Int32Array;
  readonly #handle: ArenaHandle;
  /** By place: where it is, and how many bytes its tile has. */
  readonly #addresses: readonly Address[];
  readonly #bytes: readonly number[];
  #job = 0;
  #rows: RowRange = { first: 0, count: 0 };
  #phase: Phase = 0;
  #tasks = 0;
  /** Place of the first task of all that the phase has. */
  #first = 0;
  /** Places of the tasks; null where they are all of the phase, one after the other. */
  #listed: Uint32Array | null = null;
  /** Whether this thread has no sums of the job yet. */
  #fresh = true;

  /** @param thread which of the layout's buffers are this thread's */
  constructor(kernels: Kernels, handle: ArenaHandle, layout: EngineLayout, words: Int32Array, thread: number) {
    const tiles = tilesOf(layout);
    const firstWord = WORD.threads + layout.threads.length;
    const kvWords = new Map([...layout.kv.keys()].map((key, i) => [key, firstWord + i]));
    this.#layout = layout;
    this.#handle = handle;
    this.#addresses = tiles.map(({ address }) => address);
    this.#bytes = tiles.map(({ shape }) => tileLayout(shape).bytes);
    this.#words = words;
    this.#computer = new TileComputer(kernels, handle, layout, layout.threads[thread]!);
    this.#sumsWord = WORD.threads + thread;
    this.#window = layout.window === null ? null : new WindowWords(layout.window);
    const { routes } = layout;
    this.#list = routes === null ? null : wordsOf(handle, routes.tasks, routes.mostTasks);
    this.#streams = Int32Array.from(tiles, ({ stream }) => stream ?? IN_MEMORY);
    // Heads follow each other, and so do their words.
    this.#kvFirst = Int32Array.from(
      tiles,
      ({ shape, kvHeads }) => kvWords.get(kvKey(shape.layer, kvHeads[0] ?? -1)) ?? 0,
    );
    this.#kvEnd = Int32Array.from(tiles, ({ kvHeads }, place) => this.#kvFirst[place]! + kvHeads.length);
  }

  /** Reads the job that is to be run. */
  begin(job: number): void {
    const words = this.#words;
    this.#job = job;
    this.#fresh = true;
    this.#rows = { first: Atomics.load(words, WORD.firstRow), count: Atomics.load(words, WORD.rows) };
    this.#phase = Atomics.load(words, WORD.phase);
    this.#tasks = Atomics.load(words, WORD.tasks);
    this.#first = tasksOf(this.#layout, Atomics.load(words, WORD.layer), this.#phase)[0]?.place ?? 0;
    this.#listed = Atomics.load(words, WORD.listed) === 0 ? null : this.#list;
  }

  /**
   * Takes tasks of the job that was begun.
   * @param onException told what a task threw; the job counts as failed, and goes on so that nobody waits for ever
   * @param until when to stop although there are tasks left, in milliseconds
   * @returns whether no task is left
   */
  run(onException: (error: unknown) => void, until = Number.POSITIVE_INFINITY): boolean {
    const words = this.#words;
    const job = this.#job;
    const tasks = this.#tasks;
    const rows = this.#rows;
    for (let i = claimTask(words, job, tasks); i >= 0; i = claimTask(words, job, tasks)) {
      const place = this.#listed === null ? this.#first + i : this.#listed[i]!;
      const stream = this.#streams[place]!;
      const isKv = this.#computer.isKeyValue(place);
      try {
        if (stream !== IN_MEMORY && !this.#arrived(stream)) Atomics.store(words, WORD.failure, FAILURE.tile);
        else if (!this.#computer.compute(place, rows, this.#fresh, this.#awaitKv))
          Atomics.store(words, WORD.failure, FAILURE.numeric);
      } catch (error) {
        Atomics.store(words, WORD.failure, FAILURE.exception);
        onException(error);
      }
      if (this.#fresh && !isKv && this.#phase !== HEAD) {
        Atomics.store(words, this.#sumsWord, job);
        this.#fresh = false;
      }
      if (stream !== IN_MEMORY) this.#release(place, stream);
      if (isKv) {
        Atomics.store(words, this.#kvFirst[place]!, job);
        Atomics.notify(words, this.#kvFirst[place]!);
      }
      if (Atomics.add(words, WORD.done, 1) + 1 === tasks) {
        Atomics.store(words, WORD.finished, job);
        Atomics.notify(words, WORD.finished);
      }
      if (until !== Number.POSITIVE_INFINITY && performance.now() > until) return false;
    }
    return true;
  }

  readonly #awaitKv = (place: number): void => {
    const words = this.#words;
    for (let word = this.#kvFirst[place]!; word < this.#kvEnd[place]!; word++) {
      for (let now = Atomics.load(words, word); now !== this.#job; now = waitWhile(words, word, now));
    }
  };

  /**
   * Lets go of a streamed tile, and leaves it in memory where it has come to stay: unless it may be one that did not
   * arrive.
   */
  #release(place: number, stream: number): void {
    const { moves } = this.#layout.occupants;
    const to = moves[place]!;
    if (this.#window?.failed) moves[place] = STAYS;
    else if (to !== STAYS) this.#contentAt(to).set(this.#contentAt(place));
    this.#window?.release(stream);
  }

  #contentAt(place: number): Uint8Array {
    return viewOf(this.#handle, this.#addresses[place]!, this.#bytes[place]!);
  }

  /** Waits for a tile that is streamed. @returns false when it cannot be had */
  #arrived(stream: number): boolean {
    if (this.#window === null) return true;
    const waited = this.#window.awaitTile(stream);
    if (waited > 0) Atomics.add(this.#words, WORD.waited, Math.round(waited * 1000));
    return !this.#window.failed;
  }
}
