import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, StarlingError, toStarlingError } from '../../daemon/errors.ts';

export interface RaceOptions<T> {
  /** The addresses of one device, the best first. */
  readonly addresses: readonly string[];
  /**
   * Opens a link to an address.
   * @param signal aborted when another address has won; that of the winner lives on
   */
  readonly dial: (address: string, timeoutMs: number, signal: AbortSignal) => Promise<T>;
  /** Gives up a link that came too late. */
  readonly close: (opened: T) => void;
  /** For all addresses together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Between the beginnings of two attempts: RFC 8305, section 5. */
const STAGGER_MS = 250;
/** What an address that answers says of the device is more than what another one's silence does. */
const TELLING: readonly ErrorCode[] = ['cancelled', 'key_mismatch', 'protocol_version'];

interface Attempt<T> {
  readonly opened: Promise<{ readonly link: T; readonly loser: AbortController }>;
  readonly loser: AbortController;
}

/**
 * Dials the addresses of a device side by side, each a little after the one before or as soon as that one has failed;
 * the first link that is open wins, and the others are given up. So an address that swallows packets costs a quarter of
 * a second.
 * @throws StarlingError the most telling of what the attempts met, else that of the first address
 */
export async function raceDials<T>({ addresses, dial, close, timeoutMs, signal }: RaceOptions<T>): Promise<T> {
  const end = performance.now() + timeoutMs;
  const attempts: Attempt<T>[] = [];
  for (const address of addresses) {
    const leftMs = end - performance.now();
    if (attempts.length > 0 && (leftMs <= 0 || signal?.aborted)) break;
    const loser = new AbortController();
    const stop = signal === undefined ? loser.signal : AbortSignal.any([signal, loser.signal]);
    const opened = dial(address, Math.max(1, Math.ceil(leftMs)), stop).then((link) => ({ link, loser }));
    attempts.push({ opened, loser });
    const next = new AbortController();
    const pause = sleep(STAGGER_MS, false, { signal: next.signal }).catch(no);
    const won = await Promise.race([first(attempts).then(yes, no), opened.then(yes, no), pause]);
    next.abort();
    if (won) break;
  }
  try {
    const winner = await first(attempts);
    for (const { opened, loser } of attempts) {
      if (loser === winner.loser) continue;
      loser.abort();
      opened.then(({ link }) => close(link), no);
    }
    return winner.link;
  } catch (failure) {
    throw mostTelling(failure instanceof AggregateError ? failure.errors : [failure]);
  }
}

const yes = (): boolean => true;
const no = (): boolean => false;
const first = <T>(attempts: readonly Attempt<T>[]) => Promise.any(attempts.map(({ opened }) => opened));

function mostTelling(failures: readonly unknown[]): StarlingError {
  const errors = failures.map(toStarlingError);
  for (const code of TELLING) {
    const found = errors.find((error) => error.code === code);
    if (found !== undefined) return found;
  }
  return errors[0] ?? new StarlingError('device_unreachable', 'the device has no address');
}
