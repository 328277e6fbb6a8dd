import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { type APIError, NotFoundError } from 'openai';
import { ApiKeys } from '../../../coordinator/keys/api-keys.ts';
import { watchedTemplate } from '../../fixtures/fake-text-model.ts';
import { type Endpoint, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);

const clientFor = ({ url }: Endpoint, apiKey = 'none'): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const ask = { model: 'fake-model', temperature: 0 };

describe('responses that are kept', () => {
  it('go on from the one before: its items go to the template, and its tokens are found in the cache', async () => {
    const { template, seen } = watchedTemplate();
    const reply = 'x'.repeat(150);
    await withEndpoint({ reply, template }, async (endpoint) => {
      const client = clientFor(endpoint);
      const first = await client.responses.create({ ...ask, instructions: 'Be brief.', input: 'y'.repeat(150) });
      const again = { ...ask, instructions: 'Be brief.', input: 'And now?', previous_response_id: first.id };
      const second = await client.responses.create(again);
      assert.equal(second.previous_response_id, first.id);
      assert.deepEqual(seen[1], [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'y'.repeat(150) },
        { role: 'assistant', content: reply },
        { role: 'user', content: 'And now?' },
      ]);
      const before = first.usage!.input_tokens + first.usage!.output_tokens;
      const cached = second.usage!.input_tokens_details.cached_tokens;
      // Whole pages are found.
      assert.ok(cached > before - 64 && cached <= before, `${cached} of ${before}`);

      const { data } = await client.responses.inputItems.list(second.id, { order: 'asc' });
      assert.deepEqual(
        data.map((item) => item.type === 'message' && item.role),
        ['user', 'assistant', 'user'],
      );
      for (const item of data) assert.deepEqual(schemas?.problems('ItemResource', item) ?? [], []);
      const { data: latest } = await client.responses.inputItems.list(second.id, { limit: 1 });
      assert.deepEqual(latest, [data[2]]);

      assert.deepEqual((await client.responses.retrieve(first.id)).output, first.output);
      await client.responses.delete(first.id);
      await assert.rejects(client.responses.retrieve(first.id), NotFoundError);
      const third = await client.responses.create({ ...again, previous_response_id: second.id });
      assert.equal(third.status, 'completed', 'what was deleted is part of the one that went on from it');
      const unkept = await client.responses.create({ ...again, store: false, previous_response_id: second.id });
      await assert.rejects(client.responses.retrieve(unkept.id), NotFoundError);
      const lost = client.responses.create({ ...again, previous_response_id: 'resp_0' });
      await assert.rejects(lost, ({ code, param }: APIError) => {
        assert.deepEqual([code, param], ['response_not_found', 'previous_response_id']);
        return true;
      });
    });
  });

  it('of a key are out of reach for others', async () => {
    const keys = new ApiKeys([
      { name: 'a', key: 'key-of-a-0123456789' },
      { name: 'b', key: 'key-of-b-0123456789' },
    ]);
    await withEndpoint({ http: { keys } }, async (endpoint) => {
      const [a, b] = [clientFor(endpoint, 'key-of-a-0123456789'), clientFor(endpoint, 'key-of-b-0123456789')];
      const { id } = await a.responses.create({ ...ask, input: 'Hi' });
      await assert.rejects(b.responses.retrieve(id), NotFoundError);
      await assert.rejects(b.responses.delete(id), NotFoundError);
      await assert.rejects(b.responses.create({ ...ask, input: 'Hi', previous_response_id: id }), NotFoundError);
      assert.equal((await a.responses.retrieve(id)).id, id);

      const body = JSON.stringify({ input: 'Hi' });
      const request = new Request('http://localhost/v1/responses', { method: 'POST', body });
      const ofBatch = (await (await endpoint.server.ask(request, { owner: 'a' })).json()) as { id: string };
      await assert.rejects(a.responses.retrieve(ofBatch.id), NotFoundError, 'what a batch asks is kept with the batch');
    });
  });
});
