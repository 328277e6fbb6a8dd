import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOpenAI } from '@langchain/openai';
import { generateText } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { byteToken } from '../../fixtures/fake-text-model.ts';
import { FAKE_FACTS, withEndpoint } from '../../fixtures/http-endpoint.ts';

const MODEL = 'fake-model';
const MESSAGES = [
  { role: 'user' as const, content: 'Tell' },
  { role: 'assistant' as const, content: 'Once upon' },
];
/** Ollama and Anthropic continue such a conversation without being asked to. */
const CONTINUE = { continue_final_message: true, add_generation_prompt: false };

test("A13: the assistant's message is continued, by every client", async () => {
  await withEndpoint({ reply: 'Once upon a time' }, async ({ url }) => {
    const baseURL = `${url}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
    const anthropic = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const langchain = { model: MODEL, apiKey: 'none', maxRetries: 0, configuration: { baseURL } };
    const asked = { model: MODEL, messages: MESSAGES };
    const texts = {
      OpenAI: async () => (await openai.chat.completions.create({ ...asked, ...CONTINUE })).choices[0]?.message.content,
      Ollama: async () => (await new Ollama({ host: url }).chat(asked)).message.content,
      Anthropic: async () => (await anthropic.messages.create({ ...asked, max_tokens: 99 })).content,
      'the AI SDK': async () => {
        const model = createOpenAICompatible({ name: 'starling', baseURL })(MODEL);
        return (await generateText({ model, messages: MESSAGES, providerOptions: { starling: CONTINUE } })).text;
      },
      LangChain: async () => (await new ChatOpenAI({ ...langchain, modelKwargs: CONTINUE }).invoke(MESSAGES)).content,
    };
    for (const [client, text] of Object.entries(texts)) {
      const expected = client === 'Anthropic' ? [{ type: 'text', text: ' a time' }] : ' a time';
      assert.deepEqual(await text(), expected, client);
    }
  });
});

test('A13: what clients look for beside /v1 is there for one that is told no more than the address', async () => {
  await withEndpoint({ reply: 'ok' }, async ({ url }) => {
    const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const chat = await client.chat.completions.create({ model: MODEL, messages: [MESSAGES[0]!] });
    assert.equal(chat.choices[0]?.message.content, 'ok');
    let text = '';
    for await (const { choices } of await client.completions.create({ model: MODEL, prompt: 'Say', stream: true })) {
      text += choices[0]?.text ?? '';
    }
    assert.equal(text, 'ok');
    assert.equal((await client.embeddings.create({ model: MODEL, input: 'a', dimensions: 2 })).data.length, 1);
    assert.deepEqual(
      (await client.models.list()).data.map(({ id }) => id),
      [MODEL],
    );
    const { chat_template } = await client.get<{ chat_template: string }>('/props');
    assert.equal(chat_template, FAKE_FACTS.template);
    const tokens = [...Buffer.from('aé')].map(byteToken);
    assert.deepEqual(await client.post('/tokenize', { body: { content: 'aé' } }), { tokens });
    assert.deepEqual(await client.post('/detokenize', { body: { tokens } }), { content: 'aé' });
  });
});
