import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseResponseRequest } from '../../../../../../../coordinator/http/dialects/openai/responses/request.ts';
import { StarlingError } from '../../../../../../../daemon/errors.ts';
import { ITEM_SOURCE } from '../../../../../../fixtures/item-source.ts';

const origin = { randomSeed: () => 7, userOf: (user: string | null) => user ?? '' };
const parse = (fields: object) => parseResponseRequest({ input: 'Hi', ...fields }, origin, ITEM_SOURCE);

function assertRefused(fields: object, code: string, param: string): void {
  const isTold = (error: unknown): boolean =>
    error instanceof StarlingError && error.code === code && error.param === param && error.message.includes(param);
  assert.throws(() => parse(fields), isTold, `${code} ${param}`);
}

const nested = (levels: number): object => JSON.parse(`${'{"a":'.repeat(levels)}{}${'}'.repeat(levels)}`);

test('what is not done is refused by its name', () => {
  const image = { type: 'input_image', image_url: 'data:,' };
  const text = { type: 'input_text', text: 'a' };
  const cases: [object, string][] = [
    [{ tools: [{ type: 'function', name: 'f' }, { type: 'web_search' }] }, 'tools[1]'],
    [{ input: [{ role: 'user', content: [text, image] }] }, 'input[0].content[1]'],
    [{ input: [{ type: 'function_call_output', call_id: 'a', output: [image] }] }, 'input[0].output[0]'],
    [
      {
        input: [
          { role: 'user', content: 'a' },
          { type: 'web_search_call', id: 'ws_1' },
        ],
      },
      'input[1]',
    ],
    [{ background: true }, 'background'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ prompt: { id: 'p' } }, 'prompt'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs.messages'],
  ];
  for (const [fields, param] of cases) assertRefused(fields, 'unsupported_parameter', param);
});

test('what is malformed is refused by the place that is wrong', () => {
  const cases: [object, string][] = [
    [{ input: undefined }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: 7 }, 'input'],
    [{ input: [null] }, 'input[0]'],
    [{ input: [{ role: 'robot', content: 'Hi' }] }, 'input[0].role'],
    [{ input: [{ role: 'user', content: [{ type: 'input_text' }] }] }, 'input[0].content[0].text'],
    [{ input: [{ role: 'user', content: [null] }] }, 'input[0].content[0]'],
    [{ input: [{ type: 'function_call_output', output: 'x' }] }, 'input[0].call_id'],
    [{ input: [{ type: 'reasoning', content: [{ type: 'x' }] }] }, 'input[0].content[0].type'],
    [{ tools: [null] }, 'tools[0]'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].name'],
    [{ tools: [{ type: 'function', name: 'f', parameters: nested(10_000) }] }, 'tools[0].parameters'],
    [{ tool_choice: { type: 'allowed_tools' } }, 'tool_choice.type'],
    [{ text: { format: { type: 'json_schema', name: 'a' } } }, 'text.format.schema'],
    [{ text: { verbosity: 'low' } }, 'text.verbosity'],
    [{ include: ['everything'] }, 'include[0]'],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, ''])) }, 'metadata'],
    [{ previous_response_id: 'x'.repeat(200) }, 'previous_response_id'],
  ];
  for (const [fields, param] of cases) assertRefused(fields, 'invalid_request', param);
});

test('settings, formats, tools and variables are those of a conversation', () => {
  const schema = { type: 'object' };
  const { settings, conversation, store, stream, echo } = parse({
    max_output_tokens: 5,
    temperature: 0.5,
    top_logprobs: 2,
    text: { format: { type: 'json_schema', name: 'n', schema } },
    reasoning: { effort: 'low', summary: 'auto' },
    tools: [{ type: 'function', name: 'f', description: 'F', parameters: nested(100), strict: true }],
    tool_choice: { type: 'function', name: 'f' },
    parallel_tool_calls: false,
  });
  assert.deepEqual([settings.maxTokens, settings.sampling.temperature, settings.logprobs], [5, 0.5, 2]);
  assert.deepEqual(settings.format, { kind: 'json-schema', schema });
  assert.deepEqual(conversation, {
    variables: { reasoning_effort: 'low' },
    tools: [{ name: 'f', description: 'F', parameters: nested(100) }],
    toolChoice: { name: 'f' },
    parallelCalls: false,
  });
  assert.deepEqual(
    [store, stream, (echo as { reasoning: object }).reasoning],
    [true, false, { effort: 'low', summary: null }],
  );
  const plain = parse({ store: false, stream: true, include: ['message.output_text.logprobs'], text: { format: {} } });
  assert.deepEqual(
    [plain.store, plain.stream, plain.settings.logprobs, plain.settings.format],
    [false, true, 0, undefined],
  );
});
