import type { Route } from '../../dialect.ts';
import { ollama } from './dialect.ts';
import { embed, embeddings } from './embed.ts';
import { chat, generate } from './generate.ts';
import { ps, pull, refuses, show, tags } from './models.ts';

/** Clients ask for no less than what they need: the version of Ollama that has what is done here. */
const version = '0.12.6';

const of = (method: Route['method'], path: string, handler: Route['handler']): Route => ({
  method,
  path,
  dialect: ollama,
  handler,
});

const models = refuses('one model is served, the one that "starling serve" was started with');

export const OLLAMA_ROUTES: readonly Route[] = [
  // By this clients find out whether there is a server at all.
  of('GET', '/', () => (c) => c.text('Ollama is running')),
  of('GET', '/api/version', () => (c) => c.json({ version })),
  of('GET', '/api/tags', tags),
  of('GET', '/api/ps', ps),
  of('POST', '/api/show', show),
  of('POST', '/api/generate', generate),
  of('POST', '/api/chat', chat),
  of('POST', '/api/pull', pull),
  ...['/api/push', '/api/create', '/api/copy'].map((path) => of('POST', path, models)),
  of('DELETE', '/api/delete', models),
  of('POST', '/api/embed', embed),
  of('POST', '/api/embeddings', embeddings),
];
