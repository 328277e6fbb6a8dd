import type { ErrorKind, StarlingError } from '../../../../daemon/errors.ts';
import type { Dialect } from '../../dialect.ts';

const ERROR_TYPES: Readonly<Record<ErrorKind['fault'], string>> = {
  request: 'invalid_request_error',
  key: 'authentication_error',
  absence: 'not_found_error',
  crowd: 'rate_limit_error',
  server: 'api_error',
};

/** Anthropic's API: errors are objects with a type and a message, in an object that says it is one. */
export const anthropic: Dialect = {
  name: 'Anthropic',
  header: 'anthropic-version',
  owns: (path) => path === '/v1/messages' || path.startsWith('/v1/messages/'),
  errorBody: ({ kind, message }: StarlingError) => ({
    type: 'error',
    error: { type: ERROR_TYPES[kind.fault], message },
  }),
};
