import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { BadRequestError } from 'openai';
import { toolCallForm } from '../../../coordinator/generation/tool-calls/known-families.ts';
import { reasoningForm } from '../../../coordinator/model/reasoning-marks.ts';
import { watchedTemplate } from '../../fixtures/fake-text-model.ts';
import { type Endpoint, eventually, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';

type Response = OpenAI.Responses.Response;
type StreamEvent = OpenAI.Responses.ResponseStreamEvent;

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);
/** OpenAI sends the bytes of tokens in events as well, though its description has them in items only. */
const problems = (schema: string, value: unknown): string[] =>
  (schemas?.problems(schema, value) ?? []).filter((problem) => !/logprobs\[.*\.bytes: unknown$/.test(problem));
/** The client puts it there. */
const bare = ({ output_text: _, ...response }: Response): object => response;

/** `response.output_text.delta` is described as `ResponseTextDeltaEvent`. */
const schemaOf = (type: string): string =>
  `${type
    .replace('output_text', 'text')
    .split(/[._]/)
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('')}Event`;

const clientFor = ({ url }: Endpoint, apiKey = 'none'): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const ask = { model: 'fake-model', temperature: 0 };

async function streamed(client: OpenAI, body: object): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of client.responses.stream({ ...ask, input: 'Hi', ...body })) {
    assert.deepEqual(problems(schemaOf(event.type), event), []);
    assert.equal(event.sequence_number, events.length);
    events.push(event);
  }
  return events;
}

/** The types of events, each once where it comes several times in a row. */
const order = (events: readonly StreamEvent[]): string[] =>
  events.map(({ type }) => type.replace('response.', '')).filter((type, i, all) => type !== all[i - 1]);

const ITEM = ['output_item.added', 'content_part.added'];
const DONE = ['content_part.done', 'output_item.done'];

const toolCalls = toolCallForm('{{ tools }}{{ tool_calls }}<tool_call>', () => null)!;
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function' as const, name: 'get_weather', strict: false, parameters }];
const callText = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>';

describe('responses of the OpenAI client', () => {
  it('are texts, whole and streamed, with log probabilities where they are asked for', async () => {
    await withEndpoint({ reply: 'Hej, €7' }, async (endpoint) => {
      const client = clientFor(endpoint);
      const metadata = { a: 'b' };
      const whole = await client.responses.create({ ...ask, input: 'Hi', metadata, user: 'me', max_output_tokens: 99 });
      assert.deepEqual(problems('Response', bare(whole)), []);
      assert.deepEqual([whole.output_text, whole.status, whole.metadata], ['Hej, €7', 'completed', metadata]);
      assert.equal(whole.usage?.output_tokens, Buffer.byteLength('Hej, €7'));

      const logprobs = { include: ['message.output_text.logprobs'], top_logprobs: 1 };
      const events = await streamed(client, logprobs);
      const text = ['output_text.delta', 'output_text.done'];
      assert.deepEqual(order(events), ['created', 'in_progress', ...ITEM, ...text, ...DONE, 'completed']);
      const last = events.at(-1) as OpenAI.Responses.ResponseCompletedEvent;
      const [message] = last.response.output as [OpenAI.Responses.ResponseOutputMessage];
      const [part] = message.content as [OpenAI.Responses.ResponseOutputText];
      assert.deepEqual([part.text, part.logprobs?.length], ['Hej, €7', 9]);
      const deltas = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event] : []));
      assert.equal(deltas.map(({ delta }) => delta).join(''), 'Hej, €7');
      assert.deepEqual(
        deltas.flatMap((delta) => delta.logprobs as unknown[]),
        part.logprobs,
      );
      const { output } = await client.responses.create({ ...ask, input: 'Hi', ...(logprobs as object) });
      assert.deepEqual((output[0] as typeof message).content, message.content);

      const cut = await client.responses.create({ ...ask, input: 'Hi', max_output_tokens: 3 });
      assert.deepEqual(problems('Response', bare(cut)), []);
      assert.deepEqual([cut.status, cut.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
      assert.deepEqual(order(await streamed(client, { max_output_tokens: 3 })).at(-1), 'incomplete');
    });
  });

  it('tell reasoning and calls apart, each an item of its own', async () => {
    const reply = `<think>\nHm.\n</think>\n\nLet me look.\n${callText}`;
    await withEndpoint({ reply, toolCalls, reasoning: reasoningForm('</think>', () => null)! }, async (endpoint) => {
      const client = clientFor(endpoint);
      const events = await streamed(client, { tools, include: ['message.output_text.logprobs'] });
      assert.deepEqual(order(events), [
        ...['created', 'in_progress'],
        ...[...ITEM, 'reasoning_text.delta', 'reasoning_text.done', ...DONE],
        ...[...ITEM, 'output_text.delta', 'output_text.done', ...DONE],
        ...['output_item.added', 'function_call_arguments.delta', 'function_call_arguments.done', 'output_item.done'],
        'completed',
      ]);
      const { response } = events.at(-1) as OpenAI.Responses.ResponseCompletedEvent;
      const whole = await client.responses.create({ ...ask, input: 'Hi', tools });
      assert.deepEqual(problems('Response', bare(whole)), []);
      const shown = ({ output }: Response): unknown[] =>
        output.map((item) => {
          if (item.type === 'function_call') return [item.name, item.arguments];
          return item.type === 'message' || item.type === 'reasoning'
            ? item.content?.map((part) => 'text' in part && part.text)
            : item;
        });
      assert.deepEqual(shown(whole), [['Hm.'], ['Let me look.'], ['get_weather', '{"city": "Oslo"}']]);
      assert.deepEqual(shown(response), shown(whole));
      const message = response.output[1] as OpenAI.Responses.ResponseOutputMessage;
      const { logprobs } = message.content[0] as OpenAI.Responses.ResponseOutputText;
      assert.equal(logprobs?.map(({ token }) => token).join(''), 'Let me look.', 'those of marks are left out');
      assert.ok(whole.usage!.output_tokens_details.reasoning_tokens > 0);
    });
  });

  it('complete a loop of tools, and keep to a schema', async () => {
    const { template, seen } = watchedTemplate();
    await withEndpoint({ reply: callText, toolCalls, template }, async (endpoint) => {
      const client = clientFor(endpoint);
      const first = await client.responses.create({ ...ask, input: 'Weather?', tools });
      const [call] = first.output as [OpenAI.Responses.ResponseFunctionToolCall];
      const output = { type: 'function_call_output' as const, call_id: call.call_id, output: 'Rain' };
      await client.responses.create({
        ...ask,
        input: [output],
        previous_response_id: first.id,
        tools,
      });
      const [user, assistant, tool] = seen[1]!;
      assert.equal(user?.content, 'Weather?');
      assert.deepEqual(
        assistant?.tool_calls?.map((each) => each.function),
        [{ name: 'get_weather', arguments: { city: 'Oslo' } }],
      );
      assert.deepEqual([tool?.role, tool?.tool_call_id, tool?.content], ['tool', call.call_id, 'Rain']);
    });
    await withEndpoint({ reply: 'no JSON' }, async (endpoint) => {
      const schema = { type: 'object', properties: { n: { const: 7 } }, required: ['n'], additionalProperties: false };
      const format = { type: 'json_schema' as const, name: 'n', schema, strict: true };
      const parsed = await clientFor(endpoint).responses.parse({ ...ask, input: 'Hi', text: { format } });
      assert.deepEqual([JSON.parse(parsed.output_text), parsed.output_parsed], [{ n: 7 }, { n: 7 }]);
    });
  });

  it('are made of what coding agents send', async () => {
    const { template, seen } = watchedTemplate();
    await withEndpoint({ template, toolCalls }, async (endpoint) => {
      const text = (role: string, part: string) => ({ type: 'message', role, content: [{ type: part, text: role }] });
      const events = await streamed(clientFor(endpoint), {
        instructions: 'You are an agent.',
        input: [
          text('developer', 'input_text'),
          text('user', 'input_text'),
          { type: 'reasoning', id: 'rs_1', summary: [], content: null, encrypted_content: 'c2VjcmV0' },
          { ...text('assistant', 'output_text'), id: 'msg_1', status: 'completed' },
          { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'get_weather', arguments: '{"city":"Oslo"}' },
          { type: 'function_call_output', call_id: 'c1', output: [{ type: 'input_text', text: 'Rain' }] },
        ],
        tools,
        tool_choice: 'auto',
        parallel_tool_calls: true,
        reasoning: { effort: 'medium', summary: 'auto' },
        store: false,
        include: ['reasoning.encrypted_content'],
        prompt_cache_key: 'session',
      });
      assert.equal(events.at(-1)?.type, 'response.completed');
    });
    const shown = seen[0]!.map(({ role, content, tool_calls }) => [role, content, tool_calls?.length ?? 0]);
    assert.deepEqual(shown, [
      ['system', 'You are an agent.\n\ndeveloper', 0],
      ['user', 'user', 0],
      ['assistant', 'assistant', 1],
      ['tool', 'Rain', 0],
    ]);
  });

  it('are refused by the name of what is not done, whatever is amiss', async () => {
    await withEndpoint({ contextLength: 100 }, async (endpoint) => {
      const { responses } = clientFor(endpoint);
      const refused = async (body: object, code: string, param: string): Promise<void> =>
        assert.rejects(
          responses.create({ ...ask, input: 'Hi', ...body }),
          (error: unknown) => error instanceof BadRequestError && error.code === code && error.param === param,
        );
      await refused({ tools: [{ type: 'web_search' }] }, 'unsupported_parameter', 'tools[0]');
      await refused({ input: 'x'.repeat(200) }, 'context_length_exceeded', 'input');
      const { id } = await responses.create({ ...ask, input: 'Hi' });
      await assert.rejects(responses.retrieve(id, { stream: true }), { param: 'stream' });
      const list = responses.inputItems.list(id, { limit: 0 });
      await assert.rejects(async () => list, { param: 'limit' });
    });
  });

  it('that fail on the way are told so, and those whose client leaves are given up', async () => {
    const beforeStep = (step: number): void => {
      if (step === 3) throw new Error('broken');
    };
    await withEndpoint({ beforeStep }, async ({ url }) => {
      const body = JSON.stringify({ input: 'Hi', stream: true });
      const { text } = await rawRequest(`${url}/responses`, { body });
      const events = text
        .split('\n\n')
        .filter((event) => event !== '')
        .map((event) => JSON.parse(/^event: (\S+)\ndata: (.*)$/.exec(event)![2]!) as StreamEvent);
      const [failed, error] = events.slice(-2) as [OpenAI.Responses.ResponseFailedEvent, Record<string, unknown>];
      assert.deepEqual(problems('ResponseFailedEvent', failed), []);
      assert.deepEqual([failed.response.status, error.type, error.code], ['failed', 'error', 'internal']);
      assert.deepEqual(
        events.map((event) => event.sequence_number),
        events.map((_, i) => i),
      );
    });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const http = { keepAliveMs: 5 };
    await withEndpoint({ http, beforeStep: (step) => (step === 0 ? held : undefined) }, async (endpoint) => {
      const stream = await clientFor(endpoint).responses.create({ ...ask, input: 'Hi', stream: true });
      const types: string[] = [];
      for await (const { type } of stream) {
        types.push(type);
        if (types.length === 4) break;
      }
      assert.deepEqual(types, ['response.created', ...Array(3).fill('response.in_progress')], 'signs of life');
      await eventually(() => endpoint.service.load.running === 0, 'the text is given up while its step is computed');
      release();
    });
  });
});
