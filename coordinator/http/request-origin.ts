import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { ApiContext } from './api-context.ts';

/** What a request does not say itself. */
export interface RequestOrigin {
  /** The seed of one that brings none. */
  readonly randomSeed: () => number;
  /** Whose it is, for fair shares. @param user its own `user` field */
  readonly userOf: (user: string | null) => string;
}

const MAX_KEY = 512;

/**
 * A request is that of its API key, and within a key of its `user` field or else of its client's address. Keys are not checked, and
 * many programs send the same placeholder: so a key alone does not make one user of two computers.
 */
export function requestOrigin(c: Context, api: ApiContext): RequestOrigin {
  const bearer = /^Bearer\s+(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
  const key = (bearer ?? c.req.header('x-api-key') ?? '').slice(0, MAX_KEY);
  const address = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress ?? '';
  return {
    randomSeed: api.randomSeed,
    userOf: (user) => JSON.stringify([key, user === null ? { address } : { user }]),
  };
}
