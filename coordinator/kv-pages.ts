import { StarlingError } from '../daemon/errors.ts';

/** Which KV pages are free. The coordinator alone decides where positions go; every device follows its page ids. */
export class KvPages {
  readonly #free: number[];

  constructor(pages: number) {
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i);
  }

  /** @throws StarlingError out_of_memory when fewer are free */
  take(count: number): number[] {
    if (count > this.#free.length) {
      throw new StarlingError('out_of_memory', `${count} KV pages are needed and ${this.#free.length} are free`);
    }
    return this.#free.splice(this.#free.length - count).reverse();
  }

  give(pages: Iterable<number>): void {
    this.#free.push(...pages);
  }
}
