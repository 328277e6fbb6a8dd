import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AIMessageChunk, type BaseMessage, HumanMessage, type UsageMetadata } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { z } from 'zod';
import { TOOL_TEMPLATE, tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';
import { ANSWER, CITY, LAST_PROMPT, OWNER, QUESTION } from '../../fixtures/tool-loop.ts';

type Asked = ReturnType<ChatOpenAI['bindTools']>;

test('LangChain, by its classes for OpenAI', async (t) => {
  const { url, openai, prompts } = await tinyEndpoint(t, { template: TOOL_TEMPLATE });
  const endpoint = { model: 'tiny', apiKey: 'none', maxRetries: 0, configuration: { baseURL: `${url}/v1` } };
  const model = new ChatOpenAI(endpoint);
  const tools = [OWNER, CITY].map(({ name, description, schema, result }) =>
    tool(async () => JSON.stringify(result), { name, description, schema }),
  );

  const inForm = new ChatOpenAI({ ...endpoint, modelKwargs: { guided_choice: [ANSWER] } });

  /**
   * Two calls and an answer; what the model would not say by itself is required of it, step by step.
   * @returns the tokens of each step
   */
  async function loop(answer: (asked: Asked, messages: BaseMessage[]) => Promise<AIMessageChunk>): Promise<unknown[]> {
    const messages: BaseMessage[] = [new HumanMessage(QUESTION)];
    const usages: unknown[] = [];
    const next = async (asked: Asked): Promise<AIMessageChunk> => {
      const message = await answer(asked, messages);
      const usage = message.usage_metadata as UsageMetadata | undefined;
      usages.push([usage?.input_tokens, usage?.output_tokens]);
      return message;
    };
    for (const [i, { name, input }] of [OWNER, CITY].entries()) {
      const message = await next(model.bindTools(tools, { tool_choice: name }));
      const calls = message.tool_calls ?? [];
      assert.deepEqual(
        calls.map((call) => [call.name, call.args]),
        [[name, input]],
      );
      assert.equal(message.response_metadata.finish_reason, 'tool_calls');
      messages.push(message, await tools[i]!.invoke(calls[0]!));
    }
    assert.equal((await next(inForm.bindTools(tools, { tool_choice: 'none' }))).content, ANSWER);
    assert.equal(prompts.at(-1), LAST_PROMPT);
    return usages;
  }

  await t.test('A13: a loop of two tool calls, whole and streamed', async () => {
    const whole = await loop((asked, messages) => asked.invoke(messages));
    const streamed = await loop(async (asked, messages) => {
      const chunks: AIMessageChunk[] = [];
      for await (const chunk of await asked.stream(messages)) chunks.push(chunk);
      assert.ok(chunks.length > 4, 'in pieces');
      return chunks.reduce((whole, chunk) => whole.concat(chunk));
    });
    assert.deepEqual(streamed, whole);
  });

  await t.test('A13: an object of a schema, by a form of the answer and by a call', async () => {
    const schema = z.object({ name: z.enum(['Rex']), age: z.number().int().min(7).max(7) });
    for (const method of ['jsonSchema', 'functionCalling'] as const) {
      const asked = model.withStructuredOutput(schema, { name: 'dog', method });
      assert.deepEqual(await asked.invoke(QUESTION), { name: 'Rex', age: 7 }, method);
    }
  });

  await t.test('embeddings are those of the OpenAI client', async () => {
    const embeddings = new OpenAIEmbeddings(endpoint);
    const texts = ['A dog.', 'What does a cat eat?'];
    const { data } = await openai.embeddings.create({ model: 'tiny', input: texts });
    const expected = data.map(({ embedding }) => embedding);
    assert.deepEqual(await embeddings.embedDocuments(texts), expected);
    assert.deepEqual(await embeddings.embedQuery(texts[1]!), expected[1]);
  });

  await t.test('errors are told with their messages', async () => {
    const other = new ChatOpenAI({ ...endpoint, model: 'other' });
    await assert.rejects(other.invoke('Hi'), /the model 'other' is not served here/);
  });
});
