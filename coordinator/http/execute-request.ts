import { randomUUID } from 'node:crypto';
import type { Execute } from '../batches/batch-run.ts';
import type { InternalBindings } from './authentication.ts';

/** Answers a request from within this process, as the endpoint answers those of its clients. */
export type Ask = (request: Request, bindings: InternalBindings) => Promise<Response>;

/** Has requests of batches answered as those of clients are. */
export function executeWith(ask: Ask): Execute {
  return async ({ owner, url, body }, signal) => {
    // A name that every policy of access lets in.
    const request = new Request(`http://localhost${url}`, { method: 'POST', body: JSON.stringify(body), signal });
    const response = await ask(request, { owner });
    return {
      statusCode: response.status,
      requestId: `req_${randomUUID().replaceAll('-', '')}`,
      body: await response.json(),
    };
  };
}
