import type { Context } from 'hono';
import type { StatusCode } from 'hono/utils/http-status';
import { type StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { logError } from './log-error.ts';
import { dialectOf } from './routes.ts';

/** Bounds of what a client is told to wait: long enough to help, short enough to be worth a try. */
const RETRY_SECONDS = { least: 1, most: 120 };

/** Seconds after which a place may be free. */
function retryAfter(error: StarlingError): string {
  const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000);
  return String(Math.min(RETRY_SECONDS.most, Math.max(RETRY_SECONDS.least, seconds)));
}

/**
 * The body with which a request is told an error.
 * @param path may have a query
 * @param hasHeader as of dialectOf; a request that cannot be read has none
 */
export function errorText(error: StarlingError, path: string, hasHeader = (_name: string): boolean => false): string {
  return JSON.stringify(dialectOf(path.split('?')[0]!, hasHeader).errorBody(error));
}

/** Answers with an error in the words of the dialect asked, and the status that its code stands for. */
export function errorResponse(thrown: unknown, c: Context, log: Logger): Response {
  const error = toStarlingError(thrown);
  logError(log, error, `${c.req.method} ${c.req.path}`);
  if (error.code === 'queue_full') c.header('Retry-After', retryAfter(error));
  if (error.code === 'unauthorized') c.header('WWW-Authenticate', 'Bearer');
  c.header('Content-Type', 'application/json; charset=UTF-8');
  const text = errorText(error, c.req.path, (name) => c.req.header(name) !== undefined);
  return c.newResponse(text, error.kind.http as StatusCode);
}
