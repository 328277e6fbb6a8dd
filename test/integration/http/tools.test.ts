import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { BadRequestError } from 'openai';
import type { ChatRenderer } from '../../../coordinator/generation/text-codec.ts';
import { toolCallForm } from '../../../coordinator/generation/tool-calls/known-families.ts';
import { plainTemplate } from '../../fixtures/fake-text-model.ts';
import { type Endpoint, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);

const toolCalls = toolCallForm('{{ tools }}<tool_call>', () => null)!;
const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 9 } }, required: ['city'] };
const tools = [
  { type: 'function' as const, function: { name: 'get_weather', description: 'The weather', parameters } },
  { type: 'function' as const, function: { name: 'get_time' } },
];
const called = (name: string, args: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
const reply = `Let me look.\n${called('get_weather', '{"city": "Oslo"}')}\n${called('get_time', '{}')}`;

const clientFor = ({ url }: Endpoint): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const chat = { model: 'fake-model', messages: [{ role: 'user' as const, content: 'Hi' }], temperature: 0 };

describe('tools of the OpenAI client', () => {
  it('A13: are called, whole and streamed', async () => {
    await withEndpoint({ reply, toolCalls }, async (endpoint) => {
      const client = clientFor(endpoint);
      const whole = await client.chat.completions.create({ ...chat, tools });
      assert.deepEqual(schemas?.problems('CreateChatCompletionResponse', whole) ?? [], []);
      const [{ message, finish_reason }] = whole.choices as [OpenAI.ChatCompletion.Choice];
      assert.deepEqual([message.content, finish_reason], ['Let me look.', 'tool_calls']);
      const calls = message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
      assert.deepEqual(
        calls.map((call) => call.function),
        [
          { name: 'get_weather', arguments: '{"city": "Oslo"}' },
          { name: 'get_time', arguments: '{}' },
        ],
      );
      assert.equal(new Set(calls.map(({ id }) => id)).size, 2);

      const stream = client.chat.completions.stream({ ...chat, tools });
      stream.on('chunk', (chunk) =>
        assert.deepEqual(schemas?.problems('CreateChatCompletionStreamResponse', chunk) ?? [], []),
      );
      const [choice] = (await stream.finalChatCompletion()).choices;
      assert.equal(choice?.finish_reason, 'tool_calls');
      const streamed = choice?.message.tool_calls ?? [];
      assert.deepEqual(
        streamed.map((call) => call.type === 'function' && [call.function.name, call.function.arguments]),
        calls.map((call) => [call.function.name, call.function.arguments]),
      );
    });
  });

  it('go to the template, and are not called with the choice "none"', async () => {
    const told: unknown[] = [];
    const template: ChatRenderer = {
      render: (messages, options) => {
        told.push(options.tools);
        return plainTemplate.render(messages, options);
      },
    };
    await withEndpoint({ reply, toolCalls, template }, async (endpoint) => {
      const ask = (fields: object) => clientFor(endpoint).chat.completions.create({ ...chat, ...fields });
      await ask({ tools });
      const none = await ask({ tools, tool_choice: 'none' });
      assert.deepEqual([none.choices[0]!.message.content, none.choices[0]!.finish_reason], [reply, 'stop']);
    });
    assert.deepEqual(told, [tools, null]);
  });

  it('are refused where they contradict themselves, or the model cannot be offered any', async () => {
    const refused = async (endpoint: Endpoint, fields: object, code: string, param: string): Promise<void> => {
      const isTold = (error: unknown): boolean =>
        error instanceof BadRequestError && error.code === code && error.param === param;
      await assert.rejects(
        clientFor(endpoint).chat.completions.create({ ...chat, ...fields }),
        isTold,
        JSON.stringify(fields),
      );
    };
    await withEndpoint({ toolCalls }, async (endpoint) => {
      await refused(endpoint, { tool_choice: 'required' }, 'invalid_request', 'tool_choice');
      const choice = { type: 'function', function: { name: 'other' } };
      await refused(endpoint, { tools, tool_choice: choice }, 'invalid_request', 'tool_choice');
      await refused(endpoint, { tools: [{ type: 'web_search' }] }, 'invalid_request', 'tools[0].type');
      await refused(endpoint, { tools: [tools[0], tools[0]] }, 'invalid_request', 'tools[1].function.name');
    });
    await withEndpoint({}, (endpoint) => refused(endpoint, { tools }, 'unsupported_parameter', 'tools'));
  });
});

it('tools of Ollama and of Anthropic are called in their words', async () => {
  await withEndpoint({ reply, toolCalls }, async ({ url }) => {
    const post = async (path: string, body: object): Promise<unknown> => {
      const { messages, model } = chat;
      return JSON.parse((await rawRequest(url + path, { body: JSON.stringify({ model, messages, ...body }) })).text);
    };
    const line = (await post('/api/chat', {
      stream: false,
      tools,
      options: { temperature: 0, repeat_penalty: 1 },
    })) as {
      message: unknown;
      done_reason: string;
    };
    const calls = [
      { function: { name: 'get_weather', arguments: { city: 'Oslo' } } },
      { function: { name: 'get_time', arguments: {} } },
    ];
    assert.deepEqual(line.message, { role: 'assistant', content: 'Let me look.', tool_calls: calls });
    assert.equal(line.done_reason, 'stop');

    const own = [{ name: 'get_weather', input_schema: parameters }, { name: 'get_time' }];
    const { content, stop_reason } = (await post('/v1/messages', { tools: own, temperature: 0 })) as {
      content: { type: string; name?: string; input?: unknown }[];
      stop_reason: string;
    };
    assert.equal(stop_reason, 'tool_use');
    assert.deepEqual(
      content.map(({ type, name, input }) => [type, name, input]),
      [
        ['text', undefined, undefined],
        ['tool_use', 'get_weather', { city: 'Oslo' }],
        ['tool_use', 'get_time', {}],
      ],
    );
  });
});
