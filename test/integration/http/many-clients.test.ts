import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import type { AIMessageChunk } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText, tool } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { z } from 'zod';
import { toolCallForm } from '../../../coordinator/generation/tool-calls/known-families.ts';
import { reasoningForm } from '../../../coordinator/model/reasoning-marks.ts';
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

test('A13: what is thought, said and called comes apart for both SDKs, whole and streamed', async () => {
  const called = (city: string): string =>
    `<tool_call>\n{"name": "weather", "arguments": {"city": "${city}"}}\n</tool_call>`;
  const reply = `<think>Hm.</think>Let me look.\n${called('Oslo')}\n${called('Bonn')}`;
  const reasoning = reasoningForm('</think>', () => null)!;
  const toolCalls = toolCallForm('{{ tools }}<tool_call>', () => null)!;
  await withEndpoint({ reply, reasoning, toolCalls }, async ({ url }) => {
    const baseURL = `${url}/v1`;
    const parts = { reasoning: 'Hm.', text: 'Let me look.', cities: ['Oslo', 'Bonn'] };
    const schema = z.object({ city: z.string() });

    const model = createOpenAICompatible({ name: 'starling', baseURL })(MODEL);
    const asked = {
      model,
      prompt: 'Hi',
      temperature: 0,
      tools: { weather: tool({ inputSchema: schema, execute: async ({ city }) => city }) },
    };
    const whole = await generateText(asked);
    const streamed = streamText(asked);
    for (const result of [whole, streamed]) {
      const cities = (await result.toolResults).map(({ output }) => output);
      assert.deepEqual({ reasoning: await result.reasoningText, text: await result.text, cities }, parts);
      assert.equal(await result.finishReason, 'tool-calls');
    }

    const langchain = { model: MODEL, apiKey: 'none', maxRetries: 0, temperature: 0, configuration: { baseURL } };
    const bound = new ChatOpenAI(langchain).bindTools([
      { type: 'function', function: { name: 'weather', parameters: z.toJSONSchema(schema) } },
    ]);
    const chunks: AIMessageChunk[] = [];
    for await (const chunk of await bound.stream('Hi')) chunks.push(chunk);
    for (const message of [await bound.invoke('Hi'), chunks.reduce((sum, chunk) => sum.concat(chunk))]) {
      const cities = message.tool_calls?.map(({ args }) => args.city);
      const { reasoning_content } = message.additional_kwargs;
      assert.deepEqual({ reasoning: reasoning_content, text: message.content, cities }, parts);
    }
  });
});
