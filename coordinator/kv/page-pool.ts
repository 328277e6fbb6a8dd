/** KV pages that hold nothing worth keeping. */
export class PagePool {
  readonly #free: number[];

  constructor(pages: number) {
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i);
  }

  get size(): number {
    return this.#free.length;
  }

  /** @returns a page id; undefined when none is free */
  take(): number | undefined {
    return this.#free.pop();
  }

  give(page: number): void {
    this.#free.push(page);
  }
}
