/** Weight of a new measurement. */
const RATE = 0.25;
/** A measurement this many times what was expected is a hiccup of the machine, and counts as this. */
const OUTLIER = 3;
/** The first steps also compile code and fetch memory, and say nothing of later ones. */
const WARM_UP = 2;
/**
 * What a row beyond those measured is taken to cost, as a part of what a measured one does: little, so that it is
 * tried, and then known.
 */
const HOPE = 1 / 4;

/** How long steps of so many rows take here, learnt from those that were taken. */
export class StepCost {
  /** Milliseconds by rows; NaN where none was taken. */
  readonly #measured: Float64Array;
  #observed = 0;

  constructor(mostRows: number) {
    this.#measured = new Float64Array(mostRows + 1).fill(Number.NaN);
  }

  observe(rows: number, ms: number): void {
    const before = this.#measured[rows];
    if (before === undefined || !(ms >= 0) || this.#observed++ < WARM_UP) return;
    this.#measured[rows] = Number.isNaN(before) ? ms : before + RATE * (Math.min(ms, before * OUTLIER) - before);
  }

  /**
   * Expected milliseconds of a step of `rows` rows: straight lines between what was measured; below it in proportion to
   * the rows, above it hopefully. NaN before the first measurement.
   */
  ms(rows: number): number {
    const exact = this.#measured[rows];
    if (exact === undefined || !Number.isNaN(exact)) return exact ?? Number.NaN;
    const below = this.#nearest(rows, -1);
    const above = this.#nearest(rows, 1);
    if (below === null && above === null) return Number.NaN;
    if (above === null) return this.#measured[below!]! * (1 + (HOPE * (rows - below!)) / below!);
    if (below === null) return (this.#measured[above]! * rows) / above;
    const part = (rows - below) / (above - below);
    return this.#measured[below]! + part * (this.#measured[above]! - this.#measured[below]!);
  }

  /**
   * What one more row costs a step of `rows` rows, over a few rows, as single measurements are noisy; never negative.
   */
  slope(rows: number): number {
    const to = Math.min(this.#measured.length - 1, rows + 4);
    const from = Math.max(1, to - 4);
    return to === from ? 0 : Math.max(0, (this.ms(to) - this.ms(from)) / (to - from));
  }

  /** Most rows of a step that takes at most `ms`; all while nothing is known, and 1 at least. */
  rowsWithin(ms: number): number {
    for (let rows = this.#measured.length - 1; rows > 1; rows--) {
      if (!(this.ms(rows) > ms)) return rows;
    }
    return 1;
  }

  #nearest(rows: number, direction: 1 | -1): number | null {
    for (let at = rows + direction; at >= 1 && at < this.#measured.length; at += direction) {
      if (!Number.isNaN(this.#measured[at]!)) return at;
    }
    return null;
  }
}
