import { pino } from 'pino';
import { parseCount, parseMessages } from '../../coordinator/http/dialects/anthropic/request.ts';
import { parseInfill } from '../../coordinator/http/dialects/llama-cpp/infill-request.ts';
import { parseChat, parseGenerate } from '../../coordinator/http/dialects/ollama/request.ts';
import { parseChatRequest } from '../../coordinator/http/dialects/openai/chat-request.ts';
import { parseCompletionRequest } from '../../coordinator/http/dialects/openai/completion-request.ts';
import { parseEmbeddingRequest } from '../../coordinator/http/dialects/openai/embedding-request.ts';
import { parseResponseRequest } from '../../coordinator/http/dialects/openai/responses/request.ts';
import type { RequestOrigin } from '../../coordinator/http/request-origin.ts';
import { UnknownNames } from '../../coordinator/http/unknown-names.ts';
import { ITEM_SOURCE } from '../../test/fixtures/item-source.ts';

type Body = Readonly<Record<string, unknown>>;

const ORIGIN: RequestOrigin = { randomSeed: () => 1, userOf: (user) => user ?? '' };
const unknown = new UnknownNames(pino({ level: 'silent' }));

/** What each route reads its body with, by the path, that of OpenAI's below `/v1`. */
export const READERS: ReadonlyMap<string, (body: Body) => unknown> = new Map<string, (body: Body) => unknown>([
  ['/v1/chat/completions', (body) => parseChatRequest(body, ORIGIN)],
  ['/v1/completions', (body) => parseCompletionRequest(body, ORIGIN)],
  ['/v1/responses', (body) => parseResponseRequest(body, ORIGIN, ITEM_SOURCE)],
  ['/v1/embeddings', (body) => parseEmbeddingRequest(body, ORIGIN)],
  ['/v1/messages', (body) => parseMessages(body, ORIGIN, unknown)],
  ['/v1/messages/count_tokens', (body) => parseCount(body)],
  ['/api/chat', (body) => parseChat(body, ORIGIN, unknown)],
  ['/api/generate', (body) => parseGenerate(body, ORIGIN, unknown)],
  ['/infill', (body) => parseInfill(body, ORIGIN, unknown)],
]);
