import assert from 'node:assert/strict';
import { it } from 'node:test';
import Anthropic, { NotFoundError } from '@anthropic-ai/sdk';
import { withEndpoint } from '../../fixtures/http-endpoint.ts';

it("A13: Anthropic's own client writes messages, streamed and whole, and knows what an error means", async () => {
  const reasoning = { kind: 'enclosed', open: '<t>', close: '</t>', answer: null, tokens: new Map() } as const;
  await withEndpoint({ reply: '<t>Hm.</t>Grüße', reasoning, http: { keepAliveMs: 1 } }, async ({ url }) => {
    const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const asked = { model: 'starling', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hi' }] };
    const written = [
      { type: 'thinking', thinking: 'Hm.', signature: '' },
      { type: 'text', text: 'Grüße' },
    ];
    assert.deepEqual((await client.messages.create(asked)).content, written);
    const final = await client.messages.stream(asked).finalMessage();
    assert.deepEqual([final.content, final.stop_reason], [written, 'end_turn']);
    const { input_tokens } = await client.messages.countTokens({ model: asked.model, messages: asked.messages });
    assert.equal(input_tokens, final.usage.input_tokens + (final.usage.cache_read_input_tokens ?? 0));
    await assert.rejects(client.messages.create({ ...asked, model: 'other' }), NotFoundError);
  });
});

it("Anthropic's own client learns which stop sequence ended a message, and what is served", async () => {
  await withEndpoint({ reply: 'One, two. Three' }, async ({ url, service }) => {
    const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const asked = { model: 'starling', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hi' }] };
    const stopping = { ...asked, stop_sequences: ['. T', '!'] };
    for (const message of [
      await client.messages.create(stopping),
      await client.messages.stream(stopping).finalMessage(),
    ]) {
      assert.deepEqual(message.content, [{ type: 'text', text: 'One, two' }]);
      assert.deepEqual([message.stop_reason, message.stop_sequence], ['stop_sequence', '. T']);
    }
    const { data } = await client.models.list();
    assert.deepEqual(
      data.map(({ id, type, created_at, max_input_tokens }) => [id, type, created_at, max_input_tokens]),
      [['fake-model', 'model', '2023-11-14T22:13:20.000Z', service.contextLength]],
    );
    assert.deepEqual(await client.models.retrieve('starling'), data[0]);
    await assert.rejects(client.models.retrieve('claude'), { status: 404, type: 'not_found_error' });
    const openai = (await (await fetch(`${url}/v1/models`)).json()) as { object: string };
    assert.equal(openai.object, 'list');
  });
});
