import type { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';

/** Logs a failure of ours as an error, and what a client did or undid as a detail. */
export function logError(log: Logger, error: StarlingError, where: string): void {
  const isOurs = error.kind.fault === 'server' && error.code !== 'cancelled';
  log[isOurs ? 'error' : 'debug']({ code: error.code, where, err: isOurs ? error : undefined }, error.message);
}
