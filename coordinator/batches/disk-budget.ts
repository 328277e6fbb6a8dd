import { StarlingError } from '../../daemon/errors.ts';

/** Bytes that the files of batches take together, and may take. */
export class DiskBudget {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws StarlingError store_limit_exceeded, with nothing taken */
  take(bytes: number): void {
    if (this.#used + bytes > this.#most) {
      throw new StarlingError(
        'store_limit_exceeded',
        `the files of batches would take more than the ${this.#most} bytes that they may; delete some`,
      );
    }
    this.#used += bytes;
  }

  /** What lies on the disk from before counts, whatever it is. */
  found(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
