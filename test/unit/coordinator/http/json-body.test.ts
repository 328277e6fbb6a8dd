import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from 'hono';
import { readJsonObject } from '../../../../coordinator/http/json-body.ts';

test('a body whose client goes away is no fault of ours', async () => {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('{"prompt"')),
    pull: (controller) => controller.error(new Error('aborted')),
  });
  const raw = new Request('http://localhost/', { method: 'POST', body, duplex: 'half' });
  await assert.rejects(readJsonObject({ req: { raw } } as Context), { code: 'cancelled' });
});
