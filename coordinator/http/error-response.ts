import type { Context } from 'hono';
import type { StatusCode } from 'hono/utils/http-status';
import { type StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';

/** An error in the shape of OpenAI's API; `code` is our stable code. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

/** Bounds of what a client is told to wait: long enough to help, short enough to be worth a try. */
const RETRY_SECONDS = { least: 1, most: 120 };

/** Seconds after which a place may be free. */
function retryAfter(error: StarlingError): string {
  const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000);
  return String(Math.min(RETRY_SECONDS.most, Math.max(RETRY_SECONDS.least, seconds)));
}

export function errorBody(error: StarlingError): ErrorBody {
  return {
    error: { message: error.message, type: error.kind.type, param: error.param ?? null, code: error.code },
  };
}

/** Logs a failure of ours as an error, and what a client did or undid as a detail. */
export function logError(log: Logger, error: StarlingError, where: string): void {
  const isOurs = error.kind.type === 'server_error' && error.code !== 'cancelled';
  log[isOurs ? 'error' : 'debug']({ code: error.code, where, err: isOurs ? error : undefined }, error.message);
}

/** Answers with an error in OpenAI's shape and the status that its code stands for. */
export function errorResponse(thrown: unknown, c: Context, log: Logger): Response {
  const error = toStarlingError(thrown);
  logError(log, error, `${c.req.method} ${c.req.path}`);
  if (error.code === 'queue_full') c.header('Retry-After', retryAfter(error));
  c.header('Content-Type', 'application/json; charset=UTF-8');
  return c.newResponse(JSON.stringify(errorBody(error)), error.kind.http as StatusCode);
}
