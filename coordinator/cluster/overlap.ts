import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';

/**
 * Which steps are computed as two half-batches, so that one is computed while the sums of the other travel. That hides
 * the network and costs a second pass over the weights, so whether it is faster depends on the model, the devices and
 * the network.
 */
export interface Overlap {
  /** Whether a step of `rows` rows, two at least, is to be halved. */
  halves(rows: number): boolean;
  /** Told how long the layers of a step took. */
  observe(rows: number, halved: boolean, ms: number): void;
}

/** What was found to be faster. */
export interface OverlapReport {
  /** Steps that were halved so far, those included that only tried it. */
  readonly halvedSteps: number;
  /** For steps of more rows than the entry before, and of as many as this one at most: whether they are halved. */
  readonly decisions: readonly { readonly rows: number; readonly halved: boolean }[];
}

/** No step is halved. */
export const WHOLE_STEPS: Overlap = { halves: () => false, observe: () => {} };

/** Steps of a size before the first trial, which also warm up. */
const FIRST_WAIT = 8;
/** Steps of a size between trials: at first, and doubled whenever a trial confirms what is done, up to the most. */
const LEAST_WAIT = 100;
const MOST_WAIT = 1600;
/**
 * Steps of each way in a trial, in turn, as machines and networks are faster at one moment than at another. The middle
 * one counts.
 */
const TRIAL = 5;
/** The other way must take less than this part of the time: going back and forth gains nothing. */
const MARGIN = 0.97;

/** Learns, for each size of step, whether halves are faster, by trying both ways in turn now and then. */
export class OverlapControl implements Overlap {
  readonly #sizes = new Map<number, Size>();
  #halvedSteps = 0;

  halves(rows: number): boolean {
    const size = this.#sizes.get(sizeOf(rows));
    if (size === undefined) return false;
    const { trial, halved } = size;
    return trial === null ? halved : trial.other.length <= trial.usual.length !== halved;
  }

  observe(rows: number, halved: boolean, ms: number): void {
    if (rows < 2) return;
    if (halved) this.#halvedSteps++;
    const key = sizeOf(rows);
    const size = this.#sizes.get(key) ?? { halved: false, trial: null, wait: LEAST_WAIT, left: FIRST_WAIT };
    this.#sizes.set(key, size);
    if (size.trial === null) {
      if (--size.left <= 0) size.trial = { usual: [], other: [] };
      return;
    }
    const times = halved === size.halved ? size.trial.usual : size.trial.other;
    // Steps of one size may differ a little in their rows.
    times.push(ms / rows);
    if (size.trial.usual.length >= TRIAL && size.trial.other.length >= TRIAL) endTrial(size, size.trial);
  }

  report(): OverlapReport {
    const decisions = [...this.#sizes].map(([rows, { halved }]) => ({ rows, halved }));
    return { halvedSteps: this.#halvedSteps, decisions: decisions.sort((a, b) => a.rows - b.rows) };
  }
}

interface Size {
  /** What is usual. */
  halved: boolean;
  trial: Trial | null;
  /** Steps between trials, and until the next one. */
  wait: number;
  left: number;
}

/** Milliseconds a row. */
interface Trial {
  readonly usual: number[];
  readonly other: number[];
}

function endTrial(size: Size, { usual, other }: Trial): void {
  const isFaster = middle(other) < MARGIN * middle(usual);
  if (isFaster) size.halved = !size.halved;
  size.wait = isFaster ? LEAST_WAIT : Math.min(2 * size.wait, MOST_WAIT);
  size.left = size.wait;
  size.trial = null;
}

/** Sizes are told apart up to 8 rows, and then by halves of what a step can have: most rows of the size. */
function sizeOf(rows: number): number {
  if (rows <= 8) return rows;
  let most = MAX_ROWS;
  while (most / 2 >= rows) most /= 2;
  return most;
}

const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
