import type { Random } from '../../test/fixtures/random.ts';

/** Now and then much later: a Pareto distribution, cut off. */
export interface Tail {
  readonly chance: number;
  /** The larger, the rarer long waits are. */
  readonly shape: number;
  /** Milliseconds that are added, between these. */
  readonly leastMs: number;
  readonly mostMs: number;
}

/** How much one time differs from the next: log-normal about its median, and perhaps with a heavy tail. */
export interface Jitter {
  /** Deviation of the logarithm: 0.1 is about a tenth up or down. */
  readonly sigma: number;
  readonly tail: Tail | null;
}

export const STEADY: Jitter = { sigma: 0, tail: null };

/** A time about its median. @param median milliseconds */
export function varied(median: number, { sigma, tail }: Jitter, random: Random): number {
  const usual = sigma === 0 ? median : median * factor(sigma, random);
  if (tail === null || !random.chance(tail.chance)) return usual;
  const late = tail.leastMs * (1 - random.unit()) ** (-1 / tail.shape);
  return usual + Math.min(tail.mostMs, late);
}

/** A log-normal factor whose median is 1. */
export const factor = (sigma: number, random: Random): number => Math.exp(sigma * random.normal());
