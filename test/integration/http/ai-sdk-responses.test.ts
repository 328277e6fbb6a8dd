import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, streamText } from 'ai';
import { z } from 'zod';
import { AI_SDK_LOOP, toolOfStep } from '../../fixtures/ai-sdk-loop.ts';
import { TOOL_TEMPLATE, tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';
import { CITY, LAST_PROMPT, OWNER, QUESTION } from '../../fixtures/tool-loop.ts';

test('the AI SDK, by its provider for OpenAI, which speaks of responses', async (t) => {
  const { url, prompts } = await tinyEndpoint(t, { template: TOOL_TEMPLATE });
  const model = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })('tiny');

  /** Two calls, which are required, and what the model then says of its own. */
  const loop = {
    model,
    ...AI_SDK_LOOP,
    maxOutputTokens: 120,
    temperature: 0,
    prepareStep: ({ stepNumber }: { stepNumber: number }) => {
      const called = toolOfStep(stepNumber);
      return { toolChoice: called === undefined ? ('none' as const) : { type: 'tool' as const, toolName: called } };
    },
  };

  await t.test('A13: a loop of two tool calls, whole and streamed', async () => {
    const { text, steps } = await generateText(loop);
    assert.deepEqual(
      steps.map((step) => [
        step.toolCalls.map(({ toolName, input }) => [toolName, input]),
        step.toolResults.map(({ output }) => output),
      ]),
      [
        [[[OWNER.name, OWNER.input]], [OWNER.result]],
        [[[CITY.name, CITY.input]], [CITY.result]],
        [[], []],
      ],
    );
    assert.ok(text.length > 0);
    const last = prompts.at(-1)!;
    assert.ok(last.startsWith(LAST_PROMPT), last);
    const streamed = streamText(loop);
    assert.equal(await streamed.text, text);
    assert.equal(prompts.at(-1), last);
    assert.equal((await streamed.steps).length, 3);
  });

  await t.test('A13: a turn after another, which it only refers to', async () => {
    const asked = { role: 'user' as const, content: 'Who are you?' };
    const few = { model, maxRetries: 0, maxOutputTokens: 8, temperature: 0 };
    const { text, response } = await generateText({ ...few, prompt: [asked] });
    await generateText({ ...few, prompt: [asked, ...response.messages, { role: 'user', content: 'Why?' }] });
    assert.equal(prompts.at(-1), `user: Who are you?\nassistant: ${text}\nuser: Why?\nassistant: `);
  });

  await t.test('A13: an object of a schema', async () => {
    const schema = z.object({ name: z.enum(['Rex']), age: z.number().int().min(7).max(7) });
    const { output } = await generateText({ model, prompt: QUESTION, output: Output.object({ schema }) });
    assert.deepEqual(output, { name: 'Rex', age: 7 });
  });
});
