import type { Handler } from 'hono';
import { z } from 'zod';
import { batchBody, page } from '../../../batches/bodies.ts';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { validate } from '../../validation.ts';
import { batchesOf } from './served-batches.ts';

const PAGE = 20;
const MOST_OF_PAGE = 100;

const createBody = z.object({
  input_file_id: z.string(),
  endpoint: z.string(),
  completion_window: z.string(),
  metadata: z.record(z.string(), z.string()).nullish(),
});
const listQuery = z.object({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(MOST_OF_PAGE).optional(),
});

/** POST /v1/batches */
export function createBatch(api: ApiContext): Handler {
  return async (c) => {
    const { input_file_id, endpoint, completion_window, metadata } = validate(createBody, await readJsonObject(c));
    const batch = await batchesOf(api).create({
      owner: api.authentication.ownerOf(c),
      endpoint,
      inputFileId: input_file_id,
      completionWindow: completion_window,
      metadata: metadata ?? null,
    });
    return c.json(batchBody(batch));
  };
}

/** GET /v1/batches */
export function listBatches(api: ApiContext): Handler {
  return (c) => {
    const { after, limit = PAGE } = validate(listQuery, c.req.query());
    const batches = batchesOf(api).list(api.authentication.ownerOf(c));
    return c.json(page(batches.map(batchBody), after ?? null, limit));
  };
}

/** GET /v1/batches/:id */
export function getBatch(api: ApiContext): Handler {
  return (c) => c.json(batchBody(batchesOf(api).get(c.req.param('id') ?? '', api.authentication.ownerOf(c))));
}

/** POST /v1/batches/:id/cancel */
export function cancelBatch(api: ApiContext): Handler {
  return async (c) =>
    c.json(batchBody(await batchesOf(api).cancel(c.req.param('id') ?? '', api.authentication.ownerOf(c))));
}
