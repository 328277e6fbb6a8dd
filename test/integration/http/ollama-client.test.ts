import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ollama } from 'ollama';
import { withEndpoint } from '../../fixtures/http-endpoint.ts';

const chat = { model: 'fake-model', messages: [{ role: 'user', content: 'Hi' }] };

describe("Ollama's own client", () => {
  it('A9: lists, shows and chats, streamed and whole', async () => {
    await withEndpoint({ reply: 'Grüße', http: { keepAliveMs: 1 } }, async ({ url }) => {
      const client = new Ollama({ host: url });
      assert.deepEqual(
        (await client.list()).models.map(({ name }) => name),
        ['fake-model'],
      );
      assert.equal((await client.show({ model: 'fake-model' })).details.family, 'fake');
      assert.equal((await client.ps()).models.length, 1);
      const whole = await client.chat(chat);
      assert.deepEqual([whole.message.content, whole.done_reason], ['Grüße', 'stop']);
      let text = '';
      for await (const part of await client.chat({ ...chat, stream: true })) text += part.message.content;
      assert.equal(text, 'Grüße');
      let generated = '';
      for await (const part of await client.generate({ model: 'fake-model', prompt: 'Hi', stream: true })) {
        generated += part.response;
      }
      assert.equal(generated, 'Grüße');
    });
  });

  it('A9: shows what is wrong in words', async () => {
    await withEndpoint({}, async ({ url }) => {
      const client = new Ollama({ host: url });
      await assert.rejects(client.chat({ ...chat, model: 'other' }), /the model 'other' is not served here/);
      await assert.rejects(client.delete({ model: 'fake-model' }), /one model is served/);
    });
  });
});
