import type { ErrorKind } from '../../../../daemon/errors.ts';
import type { Dialect } from '../../dialect.ts';

const ERROR_TYPES: Readonly<Record<ErrorKind['fault'], string>> = {
  request: 'invalid_request_error',
  key: 'authentication_error',
  absence: 'not_found_error',
  crowd: 'unavailable_error',
  server: 'server_error',
};

const PATHS: ReadonlySet<string> = new Set([
  '/infill',
  '/apply-template',
  '/tokenize',
  '/detokenize',
  '/props',
  '/slots',
]);

/** What llama.cpp's server has beside OpenAI's API, and its clients look for. */
export const llamaCpp: Dialect = {
  name: 'llama.cpp',
  owns: (path) => PATHS.has(path.replace(/\/$/, '')),
  errorBody: ({ message, kind }) => ({ error: { code: kind.http, message, type: ERROR_TYPES[kind.fault] } }),
};
