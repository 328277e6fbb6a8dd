import { StarlingError } from '../../daemon/errors.ts';

/** The error of work that an aborted signal ended: the signal's own reason where that is one of ours. */
export function cancelledBy(signal: AbortSignal | undefined): StarlingError {
  const reason: unknown = signal?.reason;
  if (reason instanceof StarlingError) return reason;
  return new StarlingError('cancelled', 'the request was cancelled before it was finished', { cause: reason });
}
