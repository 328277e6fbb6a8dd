import type { ErrorKind } from '../../../../daemon/errors.ts';
import type { Dialect } from '../../dialect.ts';

/** The class of an error in OpenAI's API. */
export const OPENAI_ERROR_TYPES: Readonly<Record<ErrorKind['fault'], string>> = {
  request: 'invalid_request_error',
  key: 'invalid_request_error',
  absence: 'not_found_error',
  crowd: 'rate_limit_error',
  server: 'server_error',
};

/** OpenAI's API: errors are objects with a message, a type, the parameter at fault and a code, which is ours. */
export const openai: Dialect = {
  name: 'OpenAI',
  // What is nobody else's.
  owns: () => true,
  errorBody: ({ message, kind, param, code }) => ({
    error: { message, type: OPENAI_ERROR_TYPES[kind.fault], param: param ?? null, code },
  }),
};
