/** Steps that count. */
const LATEST = 31;
/** Fewer say nothing. */
const LEAST = 5;

/** How long steps of one row have lately taken: what a user who is alone waits for a token. */
export class TokenTimes {
  readonly #latest: number[] = [];

  /** @param ms of a step with so many rows */
  observe(rows: number, ms: number): void {
    if (rows !== 1) return;
    this.#latest.push(ms);
    if (this.#latest.length > LATEST) this.#latest.shift();
  }

  /** The middle one; null before there were a few. */
  get ms(): number | null {
    if (this.#latest.length < LEAST) return null;
    return this.#latest.toSorted((a, b) => a - b)[Math.floor(this.#latest.length / 2)]!;
  }
}
