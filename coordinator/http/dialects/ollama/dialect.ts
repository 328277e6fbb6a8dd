import type { Dialect } from '../../dialect.ts';

/** Ollama's API: errors are objects with a text. */
export const ollama: Dialect = {
  name: 'Ollama',
  owns: (path) => path === '/api' || path.startsWith('/api/'),
  errorBody: ({ message }) => ({ error: message }),
};
