import type { Context, MiddlewareHandler } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import type { ApiKeys } from '../keys/api-keys.ts';

/** What watches whether a server is up has no key. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/health/']);

/**
 * What comes with a request that this process makes to itself, for the owner of a key or for nobody: no client can
 * bring it.
 */
export interface InternalBindings {
  readonly owner: string | null;
}

/** Asks requests for their key, where there are keys. */
export class Authentication {
  readonly #keys: ApiKeys | null;
  readonly #requests: Map<string, number>;

  /** @param keys null lets everybody in */
  constructor(keys: ApiKeys | null) {
    this.#keys = keys;
    this.#requests = new Map(keys?.names.map((name) => [name, 0]));
  }

  /** Requests so far, by the name of their key. */
  get requests(): ReadonlyMap<string, number> {
    return this.#requests;
  }

  /** Lets through what shows a known key, and what needs none. @throws StarlingError unauthorized */
  guard(): MiddlewareHandler {
    return async (c, next) => {
      if (this.#keys !== null && !this.isInternal(c) && !OPEN_PATHS.has(c.req.path)) {
        const owner = this.ownerOf(c);
        if (owner === null) {
          throw new StarlingError(
            'unauthorized',
            'a key of this endpoint is needed, as "Authorization: Bearer KEY" or "x-api-key: KEY"; ask whoever runs it for one',
          );
        }
        this.#requests.set(owner, (this.#requests.get(owner) ?? 0) + 1);
      }
      await next();
    };
  }

  /** Whether this process makes the request to itself. */
  isInternal(c: Context): boolean {
    return internalOwner(c) !== undefined;
  }

  /** The name of a request's key; null where there are no keys. */
  ownerOf(c: Context): string | null {
    const internal = internalOwner(c);
    if (internal !== undefined) return internal;
    const shown = { authorization: c.req.header('authorization'), xApiKey: c.req.header('x-api-key') };
    return this.#keys?.keyOf(shown) ?? null;
  }
}

/** Undefined for a request that came over a socket. */
const internalOwner = (c: Context): string | null | undefined =>
  (c.env as Partial<InternalBindings> | undefined)?.owner;
