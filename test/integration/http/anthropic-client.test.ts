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
