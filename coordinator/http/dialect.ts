import type { Handler } from 'hono';
import type { StarlingError } from '../../daemon/errors.ts';
import type { ApiContext } from './api-context.ts';

/** The API of one family of clients. */
export interface Dialect {
  /** Whose it is, as the README names it. */
  readonly name: string;
  /** A header that all its clients send, by which they are known at paths that others have too; none by default. */
  readonly header?: string;
  /** Whether its clients ask for this path, so that they are told in its words that there is nothing. */
  readonly owns: (path: string) => boolean;
  /** The body of a response that is an error. */
  readonly errorBody: (error: StarlingError) => object;
}

/** One row of the table of routes. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As Hono takes it. */
  readonly path: string;
  readonly dialect: Dialect;
  /** It is for requests with its dialect's header alone; others are answered by a later row. False by default. */
  readonly byHeader?: boolean;
  /** Makes the handler, once for an API. */
  readonly handler: (api: ApiContext) => Handler;
}
