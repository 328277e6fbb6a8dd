import type { Route } from '../../dialect.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { openai } from './dialect.ts';
import { embeddings } from './embeddings.ts';
import { getModel, listModels } from './models.ts';

/** Below /v1, and without it for clients that were given an address alone. */
export const OPENAI_ROUTES: readonly Route[] = ['/v1', ''].flatMap((root) => [
  { method: 'POST', path: `${root}/chat/completions`, dialect: openai, handler: chatCompletions },
  { method: 'POST', path: `${root}/completions`, dialect: openai, handler: completions },
  { method: 'POST', path: `${root}/embeddings`, dialect: openai, handler: embeddings },
  { method: 'GET', path: `${root}/models`, dialect: openai, handler: listModels },
  { method: 'GET', path: `${root}/models/:id{.+}`, dialect: openai, handler: getModel },
]);
