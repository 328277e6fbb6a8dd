import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, Output, streamText } from 'ai';
import { z } from 'zod';
import { AI_SDK_LOOP, toolOfStep } from '../../fixtures/ai-sdk-loop.ts';
import { TOOL_TEMPLATE, tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';
import { ANSWER, CITY, LAST_PROMPT, OWNER, QUESTION } from '../../fixtures/tool-loop.ts';

test('the AI SDK, by its provider for OpenAI-compatible servers', async (t) => {
  const { url, openai, prompts } = await tinyEndpoint(t, { template: TOOL_TEMPLATE });
  const provider = createOpenAICompatible({
    name: 'starling',
    baseURL: `${url}/v1`,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  const model = provider('tiny');

  /** Two calls and an answer; what the model would not say by itself is required of it, step by step. */
  const loop = {
    model,
    ...AI_SDK_LOOP,
    prepareStep: ({ stepNumber }: { stepNumber: number }) => {
      const called = toolOfStep(stepNumber);
      return called === undefined
        ? { toolChoice: 'none' as const, providerOptions: { starling: { guided_choice: [ANSWER] } } }
        : { toolChoice: { type: 'tool' as const, toolName: called } };
    },
  };

  await t.test('A13: a loop of two tool calls, whole', async () => {
    const { text, steps, totalUsage } = await generateText(loop);
    assert.equal(text, ANSWER);
    assert.deepEqual(
      steps.map((step) => [
        step.finishReason,
        step.toolCalls.map(({ toolName, input }) => [toolName, input]),
        step.toolResults.map(({ output }) => output),
      ]),
      [
        ['tool-calls', [[OWNER.name, OWNER.input]], [OWNER.result]],
        ['tool-calls', [[CITY.name, CITY.input]], [CITY.result]],
        ['stop', [], []],
      ],
    );
    assert.equal(prompts.at(-1), LAST_PROMPT);
    assert.ok(totalUsage.inputTokens! > 0 && totalUsage.outputTokens! > 0);
  });

  await t.test('A13: the same loop, streamed', async () => {
    const told: unknown[] = [];
    const typed: Record<string, string> = {};
    const { fullStream, text, totalUsage } = streamText(loop);
    for await (const part of fullStream) {
      if (part.type === 'tool-input-start') typed[part.id] = '';
      else if (part.type === 'tool-input-delta') typed[part.id] += part.delta;
      else if (part.type === 'tool-call') told.push([part.toolName, part.input, JSON.parse(typed[part.toolCallId]!)]);
      else if (part.type === 'tool-result') told.push(part.output);
      else if (part.type === 'finish-step') told.push(part.finishReason);
      else if (part.type === 'error') throw part.error;
    }
    assert.deepEqual(told, [
      [OWNER.name, OWNER.input, OWNER.input],
      OWNER.result,
      'tool-calls',
      [CITY.name, CITY.input, CITY.input],
      CITY.result,
      'tool-calls',
      'stop',
    ]);
    assert.equal(await text, ANSWER);
    assert.equal(prompts.at(-1), LAST_PROMPT);
    assert.ok((await totalUsage).outputTokens! > 0);
  });

  await t.test('A13: an object of a schema, whole and streamed', async () => {
    const schema = z.object({ name: z.enum(['Rex']), age: z.number().int().min(7).max(7) });
    const asked = { model, prompt: QUESTION, output: Output.object({ schema }) };
    const { output } = await generateText(asked);
    assert.deepEqual(output, { name: 'Rex', age: 7 });
    assert.deepEqual(await streamText(asked).output, output);
  });

  await t.test('embeddings are those of the OpenAI client', async () => {
    const values = ['A dog.', 'What does a cat eat?'];
    const { embeddings } = await embedMany({ model: provider.embeddingModel('tiny'), values });
    const { data } = await openai.embeddings.create({ model: 'tiny', input: values });
    assert.deepEqual(
      embeddings,
      data.map(({ embedding }) => embedding),
    );
  });

  await t.test('errors are told with their messages', async () => {
    const isTold = (error: unknown): boolean =>
      APICallError.isInstance(error) &&
      error.statusCode === 404 &&
      /the model 'other' is not served here/.test(error.message);
    await assert.rejects(generateText({ model: provider('other'), prompt: 'Hi', maxRetries: 0 }), isTold);
  });
});
