import type { Route } from '../../dialect.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { openai } from './dialect.ts';
import { getModel, listModels } from './models.ts';

export const OPENAI_ROUTES: readonly Route[] = [
  { method: 'POST', path: '/v1/chat/completions', dialect: openai, handler: chatCompletions },
  { method: 'POST', path: '/v1/completions', dialect: openai, handler: completions },
  { method: 'GET', path: '/v1/models', dialect: openai, handler: listModels },
  { method: 'GET', path: '/v1/models/:id{.+}', dialect: openai, handler: getModel },
];
