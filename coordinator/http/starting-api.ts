import { Hono } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { type AccessPolicy, guardAccess } from './access.ts';
import { errorResponse } from './error-response.ts';

/** Seconds after which a client may ask again. */
const RETRY_SECONDS = 5;

/**
 * What the endpoint answers while the model is brought up: that it is, so that clients wait instead of finding nothing
 * there.
 */
export function createStartingApi(access: AccessPolicy, log: Logger): Hono {
  const app = new Hono();
  app.onError((thrown, c) => errorResponse(thrown, c, log));
  app.use(guardAccess(access));
  app.get('/health', (c) => c.json({ status: 'starting' }, 503, { 'Retry-After': String(RETRY_SECONDS) }));
  app.all('*', (c) => {
    c.header('Retry-After', String(RETRY_SECONDS));
    return errorResponse(new StarlingError('starting', 'the model is still being brought up; ask again soon'), c, log);
  });
  return app;
}
