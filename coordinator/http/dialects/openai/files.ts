import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { ReadableStream as WebStream } from 'node:stream/web';
import type { Context, Handler } from 'hono';
import { z } from 'zod';
import { StarlingError } from '../../../../daemon/errors.ts';
import { fileBody, page } from '../../../batches/bodies.ts';
import type { StoredFile } from '../../../batches/file-store.ts';
import type { ApiContext } from '../../api-context.ts';
import { bodyOf } from '../../json-body.ts';
import { type FormPart, readForm, textOf } from '../../multipart.ts';
import { validate } from '../../validation.ts';
import { batchesOf } from './served-batches.ts';

const MOST_PURPOSE = 64;
const MOST_FILES = 10_000;

const listQuery = z.object({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(MOST_FILES).optional(),
  order: z.enum(['asc', 'desc']).optional(),
  purpose: z.string().optional(),
});

/** POST /v1/files: a form with `file` and `purpose`, in any order. The file goes to the disk as it comes. */
export function uploadFile(api: ApiContext): Handler {
  return async (c) => {
    const batches = batchesOf(api);
    const parts = readForm(c.req.header('content-type') ?? null, bodyOf(c.req.raw));
    let purpose: string | null = null;
    for await (const part of parts) {
      if (part.name === 'purpose') purpose = await textOf(part, MOST_PURPOSE);
      if (part.name !== 'file') continue;
      const content = withPurpose(part, parts, purpose);
      const owner = api.authentication.ownerOf(c);
      return c.json(fileBody(await batches.upload({ owner, filename: part.filename ?? 'file', content })));
    }
    throw new StarlingError('invalid_request', "the form has no part 'file'", { param: 'file' });
  };
}

/**
 * A file's content; fails at its end, so that nothing of it is kept, if no part before or after says that it is for a
 * batch.
 */
async function* withPurpose(
  { content }: FormPart,
  others: AsyncIterable<FormPart>,
  before: string | null,
): AsyncGenerator<Buffer, void, undefined> {
  if (before !== null) checkPurpose(before);
  yield* content;
  let purpose = before;
  for await (const part of others) {
    if (part.name === 'purpose') purpose = await textOf(part, MOST_PURPOSE);
  }
  checkPurpose(purpose);
}

function checkPurpose(purpose: string | null): void {
  if (purpose === 'batch') return;
  throw new StarlingError('invalid_request', "'purpose' must be 'batch': files are for batches here", {
    param: 'purpose',
  });
}

/** GET /v1/files */
export function listFiles(api: ApiContext): Handler {
  return (c) => {
    const { after, limit = MOST_FILES, order, purpose } = validate(listQuery, c.req.query());
    const files = batchesOf(api)
      .listFiles(api.authentication.ownerOf(c))
      .filter((file) => purpose === undefined || file.purpose === purpose);
    if (order === 'asc') files.reverse();
    return c.json(page(files.map(fileBody), after ?? null, limit));
  };
}

/** GET /v1/files/:id */
export function getFile(api: ApiContext): Handler {
  return (c) => c.json(fileBody(fileOf(c, api)));
}

/** GET /v1/files/:id/content */
export function fileContent(api: ApiContext): Handler {
  return (c) => {
    const { id, bytes } = fileOf(c, api);
    const path = batchesOf(api).contentPath(id, api.authentication.ownerOf(c));
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(bytes),
      'X-Content-Type-Options': 'nosniff',
    };
    if (c.req.raw.method === 'HEAD') return c.body(null, 200, headers);
    return c.body(Readable.toWeb(createReadStream(path)) as WebStream<Uint8Array> as ReadableStream, 200, headers);
  };
}

/** DELETE /v1/files/:id */
export function deleteFile(api: ApiContext): Handler {
  return async (c) => {
    const { id } = fileOf(c, api);
    await batchesOf(api).removeFile(id, api.authentication.ownerOf(c));
    return c.json({ id, object: 'file', deleted: true });
  };
}

/** @throws StarlingError file_not_found */
const fileOf = (c: Context, api: ApiContext): StoredFile =>
  batchesOf(api).file(c.req.param('id') ?? '', api.authentication.ownerOf(c));
