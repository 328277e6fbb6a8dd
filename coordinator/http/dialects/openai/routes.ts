import type { Route } from '../../dialect.ts';
import { cancelBatch, createBatch, getBatch, listBatches } from './batches.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { openai } from './dialect.ts';
import { embeddings } from './embeddings.ts';
import { deleteFile, fileContent, getFile, listFiles, uploadFile } from './files.ts';
import { getModel, listModels } from './models.ts';
import { createResponse, deleteResponse, getResponse, listInputItems } from './responses/responses.ts';

/** Below /v1, and without it for clients that were given an address alone. */
export const OPENAI_ROUTES: readonly Route[] = ['/v1', ''].flatMap((root) => [
  { method: 'POST', path: `${root}/chat/completions`, dialect: openai, handler: chatCompletions },
  { method: 'POST', path: `${root}/completions`, dialect: openai, handler: completions },
  { method: 'POST', path: `${root}/responses`, dialect: openai, handler: createResponse },
  { method: 'GET', path: `${root}/responses/:id`, dialect: openai, handler: getResponse },
  { method: 'DELETE', path: `${root}/responses/:id`, dialect: openai, handler: deleteResponse },
  { method: 'GET', path: `${root}/responses/:id/input_items`, dialect: openai, handler: listInputItems },
  { method: 'POST', path: `${root}/embeddings`, dialect: openai, handler: embeddings },
  { method: 'GET', path: `${root}/models`, dialect: openai, handler: listModels },
  { method: 'GET', path: `${root}/models/:id{.+}`, dialect: openai, handler: getModel },
  { method: 'POST', path: `${root}/files`, dialect: openai, handler: uploadFile },
  { method: 'GET', path: `${root}/files`, dialect: openai, handler: listFiles },
  { method: 'GET', path: `${root}/files/:id`, dialect: openai, handler: getFile },
  { method: 'DELETE', path: `${root}/files/:id`, dialect: openai, handler: deleteFile },
  { method: 'GET', path: `${root}/files/:id/content`, dialect: openai, handler: fileContent },
  { method: 'POST', path: `${root}/batches`, dialect: openai, handler: createBatch },
  { method: 'GET', path: `${root}/batches`, dialect: openai, handler: listBatches },
  { method: 'GET', path: `${root}/batches/:id`, dialect: openai, handler: getBatch },
  { method: 'POST', path: `${root}/batches/:id/cancel`, dialect: openai, handler: cancelBatch },
]);
