import assert from 'node:assert/strict';
import { test } from 'node:test';
import type OpenAI from 'openai';
import { BadRequestError } from 'openai';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { validator } from '../../fixtures/schema-suite.ts';
import { TOOL_TEMPLATE, tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';

const MODEL = 'tiny';
const messages = [{ role: 'user' as const, content: 'Tell me of a dog.' }];
const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 8 },
    age: { type: 'integer', minimum: 0, maximum: 20 },
    colours: { type: 'array', items: { enum: ['black', 'brown'] }, minItems: 1, maxItems: 2 },
  },
  required: ['name', 'age', 'colours'],
  additionalProperties: false,
};

test('A13: the answers of a model have the form that a request asks for', async (t) => {
  const { url, openai: client } = await tinyEndpoint(t, { template: TOOL_TEMPLATE });
  const isValid = validator(SCHEMA);
  const chat = async (fields: object): Promise<string> => {
    const answer = await client.chat.completions.create({ model: MODEL, messages, seed: 3, ...fields });
    assert.equal(answer.choices[0]!.finish_reason, 'stop');
    return answer.choices[0]!.message.content!;
  };

  await t.test('a schema, whole and streamed', async () => {
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'dog', schema: SCHEMA } };
    const text = await chat({ response_format });
    assert.ok(isValid(JSON.parse(text)), text);
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages,
      seed: 3,
      response_format,
      stream: true,
    });
    let streamed = '';
    for await (const { choices } of stream) streamed += choices[0]?.delta.content ?? '';
    assert.equal(streamed, text);
  });

  await t.test('a grammar, an expression, a choice, in chats and completions', async () => {
    assert.match(await chat({ grammar: 'root ::= "a" [0-9]{3} "\\n"' }), /^a\d{3}\n$/);
    assert.match(await chat({ guided_regex: '(yes|no), [a-z]{2,4}\\.' }), /^(yes|no), [a-z]{2,4}\.$/);
    assert.ok(['a cat', 'a dog'].includes(await chat({ structured_outputs: { choice: ['a cat', 'a dog'] } })));
    const request = { model: MODEL, prompt: 'Once', max_tokens: 200, guided_json: SCHEMA };
    const { choices } = await client.completions.create(request);
    assert.ok(isValid(JSON.parse(choices[0]!.text)), choices[0]!.text);
  });

  await t.test('calls of tools, where they are required', async () => {
    const tools = ['see_dog', 'buy_dog'].map((name) => ({
      type: 'function' as const,
      function: { name, parameters: SCHEMA },
    }));
    const named = { type: 'function' as const, function: { name: 'buy_dog' } };
    for (const tool_choice of ['required' as const, named]) {
      const request = { model: MODEL, messages, seed: 3, tools, tool_choice, parallel_tool_calls: false };
      const { choices } = await client.chat.completions.create(request);
      const { message, finish_reason } = choices[0]!;
      assert.deepEqual([message.content, finish_reason, message.tool_calls?.length], [null, 'tool_calls', 1]);
      const [call] = message.tool_calls as [OpenAI.ChatCompletionMessageFunctionToolCall];
      if (tool_choice === named) assert.equal(call.function.name, 'buy_dog');
      assert.ok(isValid(JSON.parse(call.function.arguments)), call.function.arguments);
    }
    const free = await client.chat.completions.create({ model: MODEL, messages, seed: 3, max_tokens: 20, tools });
    const { content, tool_calls } = free.choices[0]!.message;
    assert.ok(content !== null && content !== '' && tool_calls === undefined, 'nobody asked for calls');
  });

  await t.test('a form that cannot be kept to is refused', async () => {
    const refused: readonly [fields: object, code: string, message: RegExp][] = [
      [{ grammar: 'root ::= other' }, 'invalid_request', /other/],
      [{ guided_regex: '(' }, 'invalid_request', /regular expression/],
      [{ json_schema: { type: 'string', enum: [1] } }, 'invalid_request', /no text satisfies it/],
      [{ json_schema: { $dynamicRef: '#a' } }, 'unsupported_parameter', /\$dynamicRef/],
    ];
    for (const [fields, code, message] of refused) {
      const isTold = (error: unknown): boolean =>
        error instanceof BadRequestError && error.code === code && message.test(error.message);
      await assert.rejects(chat(fields), isTold, JSON.stringify(fields));
    }
  });

  await t.test('a schema, in the words of Ollama and of Anthropic', async () => {
    const post = async (path: string, body: object): Promise<unknown> => {
      const { status, text } = await rawRequest(url + path, { body: JSON.stringify({ messages, ...body }) });
      assert.equal(status, 200, text);
      return JSON.parse(text);
    };
    const line = (await post('/api/chat', { stream: false, format: SCHEMA })) as { message: { content: string } };
    assert.ok(isValid(JSON.parse(line.message.content)), line.message.content);
    const output_config = { format: { type: 'json_schema', schema: SCHEMA } };
    const { content } = (await post('/v1/messages', { output_config })) as { content: { text: string }[] };
    assert.ok(isValid(JSON.parse(content[0]!.text)), content[0]!.text);
  });
});
