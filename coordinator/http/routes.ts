import type { Dialect, Route } from './dialect.ts';
import { anthropic } from './dialects/anthropic/dialect.ts';
import { ANTHROPIC_ROUTES } from './dialects/anthropic/routes.ts';
import { llamaCpp } from './dialects/llama-cpp/dialect.ts';
import { llamaCppRoutes } from './dialects/llama-cpp/routes.ts';
import { ollama } from './dialects/ollama/dialect.ts';
import { OLLAMA_ROUTES } from './dialects/ollama/routes.ts';
import { parseChatRequest } from './dialects/openai/chat-request.ts';
import { openai } from './dialects/openai/dialect.ts';
import { OPENAI_ROUTES } from './dialects/openai/routes.ts';
import { health } from './health.ts';
import { metrics } from './metrics.ts';

/** What is of no family of clients; in OpenAI's words, which most know. */
const starling: Dialect = { ...openai, name: 'Starling' };

/** All that the endpoint answers; the README has the same table. */
export const ROUTES: readonly Route[] = [
  ...ANTHROPIC_ROUTES,
  ...OPENAI_ROUTES,
  ...OLLAMA_ROUTES,
  ...llamaCppRoutes(parseChatRequest),
  { method: 'GET', path: '/health', dialect: starling, handler: health },
  { method: 'GET', path: '/metrics', dialect: starling, handler: metrics },
];

/** In the order in which they are asked whether a path is theirs; the last takes all that is left. */
const DIALECTS: readonly Dialect[] = [anthropic, ollama, llamaCpp, openai];

/**
 * In whose words a request is told what is amiss.
 * @param hasHeader whether it has a header of this name, in lower case
 */
export function dialectOf(path: string, hasHeader: (name: string) => boolean): Dialect {
  return DIALECTS.find(({ owns, header }) => (header !== undefined && hasHeader(header)) || owns(path)) ?? openai;
}
