import { Worker } from 'node:worker_threads';
import { StarlingError, toStarlingError } from '../errors.ts';
import type { ReaderData, ReadFailure } from './reader.ts';
import { THREAD_LIMITS } from './thread-pool.ts';
import { REPAIR, type WindowWords } from './window-words.ts';

/** Reads under way at a time. One alone leaves a disk idle between its reads. */
export const READERS = 2;

/** How often a tile may be found damaged or missing before it is given up. */
const MOST_REPAIRS = 3;

export interface ReaderPoolOptions extends Omit<ReaderData, 'reader'> {
  readonly window: WindowWords;
  /**
   * Brings back a tile that is damaged or missing on disk.
   * @param tile its number in execution order
   * @returns when it is in the store again
   */
  readonly repair: (tile: number, error: StarlingError) => Promise<void>;
}

/** The threads that fill a window's ring from disk. */
export class ReaderPool {
  readonly #options: ReaderPoolOptions;
  readonly #workers: Worker[] = [];
  readonly #repairs = new Map<number, number>();
  #failure: StarlingError | undefined;

  constructor(options: ReaderPoolOptions) {
    this.#options = options;
  }

  /** Why a tile could not be had, once one could not. */
  get failure(): StarlingError | undefined {
    return this.#failure;
  }

  /** @param onDied told when a thread ends by itself, after which nothing arrives any more */
  async start(onDied: (reason: string) => void): Promise<void> {
    const { window: _window, repair: _repair, ...data } = this.#options;
    const started = Array.from({ length: READERS }, (_, reader) => {
      const workerData: ReaderData = { ...data, reader };
      const worker = new Worker(new URL('./reader.js', import.meta.url), {
        workerData,
        name: `starling-reader-${reader}`,
        resourceLimits: THREAD_LIMITS,
      });
      this.#workers.push(worker);
      worker.on('message', (failure: ReadFailure) => void this.#repair(failure));
      worker.on('error', (error) => onDied(error.message));
      return new Promise<void>((resolve, reject) => {
        worker.once('online', resolve);
        worker.once('error', reject);
      });
    });
    await Promise.all(started);
  }

  async stop(): Promise<void> {
    this.#options.window.stop();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #repair({ reader, tile, code, message }: ReadFailure): Promise<void> {
    const { window, repair } = this.#options;
    try {
      const error = new StarlingError(code, message);
      const repairs = (this.#repairs.get(tile) ?? 0) + 1;
      this.#repairs.set(tile, repairs);
      if (!['tile_damaged', 'tile_missing'].includes(code)) throw error;
      if (repairs > MOST_REPAIRS) {
        throw new StarlingError(code, `${message}, for the ${repairs}th time; check that disk`);
      }
      await repair(tile, error);
      window.answer(reader, REPAIR.mended);
    } catch (thrown) {
      this.#failure ??= toStarlingError(thrown);
      window.answer(reader, REPAIR.lost);
    }
  }
}
