import type { LinkProfile } from '../../../daemon/profile/device-profile.ts';

/** The way to a device. */
export interface Echo {
  /** Sends some bytes. @returns when as many as `answer` says have come back */
  echo(bytes: number, answer: number): Promise<void>;
}

/** A phase's input and its answer, of one row of a model of some 4000 columns. */
const PHASE_BYTES = 8192;
/** Round trips that are made first: connections begin slowly, and both sides learn how long to wait awake. */
const WARM_UP = 8;
const TRIPS = 40;
/** All round trips end after this, when there are a few. */
const TRIPS_MS = 200;
const LEAST_TRIPS = 5;
/** Larger messages, for so long in each direction. */
const BULK_MS = 150;
const LEAST_BULK = 2 ** 14;
const MOST_BULK = 2 ** 20;
/** Of the largest that the time allows. */
const BULKS = 5;

/**
 * Measures the way to a device that waits for nothing else: about half a second, or a few messages where that takes
 * longer.
 * @param now milliseconds, monotonic
 * @throws StarlingError why the link has ended
 */
export async function measureLink(link: Echo, now = (): number => performance.now()): Promise<LinkProfile> {
  const timed = async (bytes: number, answer: number): Promise<number> => {
    const begun = now();
    await link.echo(bytes, answer);
    return now() - begun;
  };
  const until = now() + TRIPS_MS;
  const trips: number[] = [];
  for (let made = 0; made < WARM_UP + TRIPS && (trips.length < LEAST_TRIPS || now() < until); made++) {
    const ms = await timed(PHASE_BYTES, PHASE_BYTES);
    // On a slow link there is nothing to warm up that would be seen.
    if (made >= WARM_UP || ms > TRIPS_MS / WARM_UP) trips.push(ms);
  }
  const roundTripMs = ranked(trips, 0.5);
  const empty: number[] = [];
  while (empty.length < LEAST_TRIPS) empty.push(await timed(0, 0));
  const emptyMs = ranked(empty, 0.5);
  const up = await bulkRate((bytes) => timed(bytes, 0), emptyMs, now);
  const down = await bulkRate((bytes) => timed(0, bytes), emptyMs, now);
  return { roundTripMs, jitterMs: ranked(trips, 0.9) - roundTripMs, bytesPerMs: Math.min(up, down) };
}

/**
 * Sends larger and larger messages as long as there is time for them.
 * @param emptyMs what an empty one takes
 * @returns bytes a millisecond: the middle one of the largest
 */
async function bulkRate(send: (bytes: number) => Promise<number>, emptyMs: number, now: () => number): Promise<number> {
  const until = now() + BULK_MS;
  let rates: number[] = [];
  for (let bytes = LEAST_BULK; ; ) {
    const ms = await send(bytes);
    // Without the way of an empty message there and back, as far as that was not held up itself.
    rates.push(bytes / Math.max(ms - emptyMs, ms / 4, 1e-3));
    const left = until - now();
    if (bytes < MOST_BULK && ms * 4 < left) {
      bytes *= 4;
      rates = [];
    } else if (rates.length === BULKS || ms > left) {
      return ranked(rates, 0.5);
    }
  }
}

/** The value that stands at a part of the way from the least to the largest. */
const ranked = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))]!;
