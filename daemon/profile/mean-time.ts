import { StarlingError } from '../errors.ts';

export interface MeanTimeOptions {
  /** Over how many milliseconds the mean is taken, at least: a processor may be given and taken away within them. */
  readonly leastMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/**
 * The mean time of some work in milliseconds, not the best one: where a quota or another program holds a thread up, it
 * will later too. The first run warms up, unless it takes so long by itself that it is enough.
 * @throws StarlingError cancelled by the signal, between two runs
 */
export async function meanTime(
  work: () => Promise<void>,
  { leastMs, signal, now = () => performance.now() }: MeanTimeOptions,
): Promise<number> {
  const timed = async (): Promise<number> => {
    if (signal?.aborted) throw new StarlingError('cancelled', 'measuring this device was stopped');
    const begun = now();
    await work();
    return now() - begun;
  };
  const first = await timed();
  if (first >= leastMs) return first;
  let total = 0;
  for (let runs = 1; ; runs++) {
    total += await timed();
    if (total >= leastMs) return total / runs;
  }
}
