import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import OpenAI, { APIError, NotFoundError, toFile } from 'openai';
import { startBatches } from '../../../coordinator/cli/start-batches.ts';
import { ApiKeys } from '../../../coordinator/keys/api-keys.ts';
import { createLogger } from '../../../daemon/log.ts';
import { withBatches } from '../../fixtures/batch-endpoint.ts';
import { CHAT, chatLine } from '../../fixtures/batch-folder.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);
const ADA = 'key-of-ada-0123456789';
const BOB = 'key-of-bob-0123456789';

function assertShape(name: string, value: object): void {
  if (schemas !== null) assert.deepEqual(schemas.problems(name, value), [], JSON.stringify(value));
}

const clientFor = (url: string, apiKey = 'none'): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const line = (id: string, content: string, model = 'starling'): string =>
  chatLine(id, content).replace('"model":"m"', `"model":"${model}"`);
const fileOf = (lines: readonly string[]) => toFile(Buffer.from(lines.join('\n')), 'in "put".jsonl');

async function ended(client: OpenAI, id: string): Promise<OpenAI.Batch> {
  for (let tries = 0; tries < 500; tries++) {
    const batch = await client.batches.retrieve(id);
    if (['completed', 'failed', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the batch ${id} did not end`);
}

async function linesOf(client: OpenAI, id: string): Promise<Record<string, unknown>[]> {
  const text = await (await client.files.content(id)).text();
  return text
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as Record<string, unknown>);
}

describe('batches', () => {
  it('are computed from an upload to files of answers and failures', async (t) => {
    await withBatches(t, { reply: 'Hello' }, async ({ url }) => {
      const client = clientFor(url);
      const lines = [line('a', 'Hi'), line('b', 'Ho'), line('c', 'Hi', 'another')];
      const file = await client.files.create({ file: await fileOf(lines), purpose: 'batch' });
      assert.equal(file.bytes, lines.join('\n').length);
      assertShape('OpenAIFile', file);
      assert.equal(file.filename, 'in "put".jsonl');
      assert.equal(await (await client.files.content(file.id)).text(), lines.join('\n'));
      assert.deepEqual(await client.files.retrieve(file.id), file);

      const batch = await client.batches.create({
        input_file_id: file.id,
        endpoint: CHAT,
        completion_window: '24h',
        metadata: { of: 'tests' },
      });
      assertShape('Batch', batch);
      const done = await ended(client, batch.id);
      assertShape('Batch', done);
      assert.equal(done.status, 'completed');
      assert.deepEqual(done.request_counts, { total: 3, completed: 2, failed: 1 });
      assert.deepEqual(done.metadata, { of: 'tests' });

      const answers = await linesOf(client, done.output_file_id!);
      assert.deepEqual(answers.map(({ custom_id }) => custom_id).sort(), ['a', 'b']);
      const { status_code, body } = answers[0]!.response as { status_code: number; body: OpenAI.ChatCompletion };
      assert.equal(status_code, 200);
      assert.equal(body.choices[0]?.message.content, 'Hello');
      const [failure] = await linesOf(client, done.error_file_id!);
      assert.equal(failure!.custom_id, 'c');
      assert.equal((failure!.response as { status_code: number }).status_code, 404);

      assert.deepEqual((await client.batches.list({ limit: 1 })).data, [done]);
      const listed: string[] = [];
      for await (const each of client.files.list({ limit: 2 })) listed.push(each.id);
      assert.deepEqual(listed.sort(), [file.id, done.output_file_id!, done.error_file_id!].sort());
      assert.deepEqual((await client.files.list({ purpose: 'batch' })).data, [file]);

      assert.deepEqual(await client.files.delete(file.id), { id: file.id, object: 'file', deleted: true });
      await assert.rejects(client.files.retrieve(file.id), { status: 404, code: 'file_not_found' });
      await assert.rejects(client.files.content(file.id), NotFoundError);
      await assert.rejects(client.batches.retrieve('batch_none'), { status: 404, code: 'batch_not_found' });
      await assert.rejects(client.batches.cancel(done.id), { status: 400 });
    });
  });

  it('embed texts, as requests for that do', async (t) => {
    await withBatches(t, {}, async ({ url }) => {
      const client = clientFor(url);
      const endpoint = '/v1/embeddings' as const;
      const body = { model: 'starling', input: ['one text', 'another'], encoding_format: 'base64' as const };
      const lines = [JSON.stringify({ custom_id: 'a', method: 'POST', url: endpoint, body })];
      const file = await client.files.create({ file: await fileOf(lines), purpose: 'batch' });
      const made = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' });
      const { output_file_id } = await ended(client, made.id);
      const [answer] = await linesOf(client, output_file_id!);
      const { data } = (answer!.response as { body: OpenAI.CreateEmbeddingResponse }).body;
      assert.deepEqual(data, (await client.embeddings.create(body)).data);
      assert.equal(data.length, 2);
    });
  });

  it('take at most a third of the passes over the model that their requests take one after the other', async (t) => {
    await withBatches(t, { reply: 'Hello' }, async ({ url, model }) => {
      const client = clientFor(url);
      const beginning = 'b'.repeat(200);
      const questions = Array.from({ length: 24 }, (_, i) => `${beginning}${i}`);
      for (const content of questions) {
        await client.chat.completions.create({ model: 'starling', messages: [{ role: 'user', content }] });
      }
      const inTurn = model.steps;
      const lines = questions.map((content, i) => line(`${i}`, content));
      const file = await client.files.create({ file: await fileOf(lines), purpose: 'batch' });
      const wish = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h' } as const;
      const { request_counts } = await ended(client, (await client.batches.create(wish)).id);
      assert.equal(request_counts?.completed, questions.length);
      const together = model.steps - inTurn;
      assert.ok(3 * together <= inTurn, `${together} passes, ${inTurn} one after the other`);
    });
  });

  it('can be cancelled, and fail with the lines that are wrong', async (t) => {
    const waiting = new Promise<void>((resolve) => t.after(() => resolve()));
    await withBatches(t, { beforeStep: () => waiting }, async ({ url }) => {
      const client = clientFor(url);
      const wish = { endpoint: CHAT, completion_window: '24h' } as const;
      const upload = async (lines: string[]) =>
        (await client.files.create({ file: await fileOf(lines), purpose: 'batch' })).id;
      const wrong = await client.batches.create({ ...wish, input_file_id: await upload(['{}']) });
      const failed = await ended(client, wrong.id);
      assert.equal(failed.status, 'failed');
      assert.equal(failed.errors?.data?.[0]?.line, 1);
      const slow = await client.batches.create({ ...wish, input_file_id: await upload([line('a', 'Hi')]) });
      await client.batches.cancel(slow.id);
      assert.equal((await ended(client, slow.id)).status, 'cancelled');
      const elsewhere = { ...wish, endpoint: '/v1/moderations' as const, input_file_id: wrong.input_file_id };
      await assert.rejects(client.batches.create(elsewhere), { status: 400, param: 'endpoint' });
    });
  });

  it('keep to the key that they came with', async (t) => {
    const keys = new ApiKeys([
      { name: 'ada', key: ADA },
      { name: 'bob', key: BOB },
    ]);
    await withBatches(t, { reply: 'Hello', http: { keys } }, async ({ url }) => {
      const [ada, bob] = [clientFor(url, ADA), clientFor(url, BOB)];
      const file = await ada.files.create({ file: await fileOf([line('a', 'Hi')]), purpose: 'batch' });
      const wish = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h' } as const;
      await assert.rejects(bob.batches.create(wish), NotFoundError);
      const { id } = await ada.batches.create(wish);
      const done = await ended(ada, id);
      assert.deepEqual(done.request_counts, { total: 1, completed: 1, failed: 0 });
      await assert.rejects(bob.batches.retrieve(id), NotFoundError);
      await assert.rejects(bob.files.content(done.output_file_id!), NotFoundError);
      assert.deepEqual((await bob.files.list()).data, []);
      assert.equal((await rawRequest(`${url}/v1/files`)).status, 401);
    });
  });

  it('refuse uploads that are no form with a file for a batch, and keep nothing of them', async (t) => {
    await withBatches(t, {}, async ({ url }) => {
      const form = (...parts: string[]): string =>
        [...parts.map((part) => `--b\r\nContent-Disposition: form-data; ${part}\r\n`), '--b--'].join('');
      const file = 'name="file"; filename="f"\r\n\r\n{}';
      const wrong: readonly (readonly [body: string, message: RegExp, type?: string])[] = [
        ['{}', /must be a form/, 'application/json'],
        ['{}', /ends too early/],
        [form('name="purpose"\r\n\r\nbatch'), /no part 'file'/],
        [form(file), /must be 'batch'/],
        [form(file, 'name="purpose"\r\n\r\nfine-tune'), /must be 'batch'/],
        [form('name="purpose"\r\n\r\nvision', file), /must be 'batch'/],
        [form(file, 'name="purpose"\r\n\r\nbatch').slice(0, -4), /ends too early/],
        [form(file, `name="purpose"\r\n\r\n${'b'.repeat(100)}`), /too long/],
        [form('filename="f"\r\n\r\n{}'), /no name/],
        [form(`name="x"; ${'y'.repeat(9000)}\r\n\r\n`), /more than 8192 bytes/],
        [form(...Array<string>(33).fill('name="x"\r\n\r\n')), /more than 32 parts/],
      ];
      for (const [body, message, type = 'multipart/form-data; boundary=b'] of wrong) {
        const answer = await rawRequest(`${url}/v1/files`, { headers: { 'content-type': type }, body });
        assert.equal(answer.status, 400, answer.text);
        assert.match(answer.text, message);
      }
      assert.deepEqual((await clientFor(url).files.list()).data, []);
      const headers = { 'content-type': 'multipart/form-data; boundary="b"' };
      const body = form(file, 'name="purpose"\r\n\r\nbatch');
      assert.equal((await rawRequest(`${url}/v1/files`, { headers, body })).status, 200);
    });
  });

  it('are of one endpoint at a time: another goes on without', async (t) => {
    const folder = join(temporaryFolder(t), 'batches');
    const log = createLogger('silent', 'test');
    await withEndpoint({}, async ({ url, server, service }) => {
      const first = await startBatches({ folder, server, service, log });
      assert.ok(first !== null);
      assert.equal(await startBatches({ folder, server, service, log }), null);
      await first.stop();
      await assert.rejects(
        clientFor(url).batches.list(),
        (error) => error instanceof APIError && error.code === 'batches_unavailable' && error.status === 503,
      );
    });
  });
});
