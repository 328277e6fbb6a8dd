import type { Route } from '../../dialect.ts';
import { anthropic } from './dialect.ts';
import { countTokens, messages } from './messages.ts';
import { getModel, listModels } from './models.ts';

export const ANTHROPIC_ROUTES: readonly Route[] = [
  { method: 'POST', path: '/v1/messages', dialect: anthropic, handler: messages },
  { method: 'POST', path: '/v1/messages/count_tokens', dialect: anthropic, handler: countTokens },
  { method: 'GET', path: '/v1/models', dialect: anthropic, byHeader: true, handler: listModels },
  { method: 'GET', path: '/v1/models/:id{.+}', dialect: anthropic, byHeader: true, handler: getModel },
];
