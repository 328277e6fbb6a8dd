import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { userOfKey } from '../keys/api-keys.ts';
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
 * Where there are keys, a request is that of its key. Where there are none, it is that of whatever key it brings, and
 * within that of its `user` field or else of its client's address: many programs send the same placeholder, which does
 * not make one user of two computers.
 */
export function requestOrigin(c: Context, api: ApiContext): RequestOrigin {
  const owner = api.authentication.ownerOf(c);
  if (owner !== null) return { randomSeed: api.randomSeed, userOf: () => userOfKey(owner) };
  const bearer = /^Bearer\s+(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
  const key = (bearer ?? c.req.header('x-api-key') ?? '').slice(0, MAX_KEY);
  const address = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress ?? '';
  return {
    randomSeed: api.randomSeed,
    userOf: (user) => JSON.stringify([key, user === null ? { address } : { user }]),
  };
}
