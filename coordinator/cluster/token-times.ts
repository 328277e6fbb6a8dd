/** Steps that count. */
const LATEST = 31;
/** Fewer say nothing. */
const LEAST = 5;
/** Times this part of each other apart are news. */
const CHANGED = 1.2;

/** How long steps that a plan was made for have lately taken: what a user waits for a token. */
export class TokenTimes {
  readonly #rows: number;
  readonly #latest: number[] = [];
  #sinceTold = 0;
  #told: number | null = null;

  /** @param rows of the steps that count: 1 for a user who is alone */
  constructor(rows: number) {
    this.#rows = rows;
  }

  /** @param ms of a step with so many rows */
  observe(rows: number, ms: number): void {
    if (rows !== this.#rows) return;
    this.#latest.push(ms);
    if (this.#latest.length > LATEST) this.#latest.shift();
    this.#sinceTold++;
  }

  /** The middle one; null before there were a few. */
  get ms(): number | null {
    if (this.#latest.length < LEAST) return null;
    return this.#latest.toSorted((a, b) => a - b)[Math.floor(this.#latest.length / 2)]!;
  }

  /**
   * What people are to be told: `ms` once all steps that count are there, and again whenever they are all new and it has
   * changed by more than a fifth since; null in between.
   */
  news(): number | null {
    if (this.#sinceTold < LATEST) return null;
    this.#sinceTold = 0;
    const { ms } = this;
    if (ms === null || (this.#told !== null && ms < CHANGED * this.#told && this.#told < CHANGED * ms)) return null;
    this.#told = ms;
    return ms;
  }
}
