import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { BadRequestError } from 'openai';
import { streamChat } from '../../../coordinator/cli/chat-client.ts';
import type { ChatMessage, ChatRenderer, TextCodec } from '../../../coordinator/generation/text-codec.ts';
import { reasoningForm } from '../../../coordinator/model/reasoning-marks.ts';
import { byteCodec, byteToken, plainTemplate } from '../../fixtures/fake-text-model.ts';
import { type Endpoint, withEndpoint } from '../../fixtures/http-endpoint.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const openapiPath = sharedData('openapi/openapi.yaml');
const schemas = openapiPath === null ? null : new OpenApiSchemas(openapiPath);

/** What is not as OpenAI describes it, but for the field that it does not know. */
const problems = (schema: string, value: unknown): string[] =>
  (schemas?.problems(schema, value) ?? []).filter((problem) => !problem.endsWith('.reasoning_content: unknown'));

const clientFor = ({ url }: Endpoint): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const chat = { model: 'fake-model', messages: [{ role: 'user' as const, content: 'Hi' }], temperature: 0 };

/** What answers have beside OpenAI's shape. */
interface Reasoned {
  readonly content?: string | null;
  readonly reasoning_content?: string;
}

const TEXT_MARKS = reasoningForm('</think>', () => null)!;

/** Bytes that no text has stand for the marks of channels. */
const CHANNEL_TOKENS = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'].map((text, i) => ({
  text,
  id: byteToken(0xf8 + i),
}));
const CHANNELS = reasoningForm('<|channel|>', (text) => CHANNEL_TOKENS.find((each) => each.text === text)?.id ?? null)!;

const channelCodec: TextCodec = {
  ...byteCodec,
  createDetokenizer: (options) => {
    const inner = byteCodec.createDetokenizer(options);
    const mark = (token: number) => CHANNEL_TOKENS.find(({ id }) => id === token)?.text;
    return { push: (token) => mark(token) ?? inner.push(token), flush: () => inner.flush() };
  },
};

/** Token ids of a text in which marks of channels are their tokens. */
const inChannels = (text: string): number[] =>
  text.split(/(<\|\w+\|>)/).flatMap((part) => {
    const mark = CHANNEL_TOKENS.find((each) => each.text === part);
    return mark === undefined ? Array.from(Buffer.from(part), byteToken) : [mark.id];
  });

async function streamed(endpoint: Endpoint, fields: object = {}) {
  const request = { ...chat, ...fields, stream: true, stream_options: { include_usage: true } } as const;
  const stream = await clientFor(endpoint).chat.completions.create(request);
  const [deltas, usages]: [Reasoned[], (OpenAI.CompletionUsage | null | undefined)[]] = [[], []];
  for await (const chunk of stream) {
    assert.deepEqual(problems('CreateChatCompletionStreamResponse', chunk), []);
    usages.push(chunk.usage);
    for (const { delta } of chunk.choices) deltas.push(delta as Reasoned);
  }
  assert.ok(
    deltas.every((delta) => !delta.content || !delta.reasoning_content),
    'one or the other',
  );
  const join = (texts: (string | null | undefined)[]): string => texts.map((text) => text ?? '').join('');
  return {
    reasoning: join(deltas.map((delta) => delta.reasoning_content)),
    content: join(deltas.map((delta) => delta.content)),
    usage: usages.at(-1),
  };
}

describe('reasoning in chat completions', () => {
  const written = '<think>\nHm, 3 + 4.\n</think>\n\nSeven: €7.';

  it('is told apart, whole and streamed', async () => {
    await withEndpoint({ reply: written, reasoning: TEXT_MARKS }, async (endpoint) => {
      const whole = await clientFor(endpoint).chat.completions.create(chat);
      assert.deepEqual(problems('CreateChatCompletionResponse', whole), []);
      const message = { role: 'assistant', content: 'Seven: €7.', refusal: null, reasoning_content: 'Hm, 3 + 4.' };
      assert.deepEqual(whole.choices[0]?.message, message);
      assert.equal(whole.choices[0]?.finish_reason, 'stop');
      assert.equal(whole.usage?.completion_tokens, Buffer.byteLength(written));
      const reasoningTokens = written.indexOf('</think>') + '</think>'.length;
      assert.deepEqual(whole.usage?.completion_tokens_details, { reasoning_tokens: reasoningTokens });
      const { reasoning, content, usage } = await streamed(endpoint);
      assert.deepEqual([reasoning, content], ['Hm, 3 + 4.', 'Seven: €7.']);
      assert.deepEqual(usage?.completion_tokens_details, { reasoning_tokens: reasoningTokens });
    });
  });

  it('is in channels of models that have them, and their marks are tokens', async () => {
    const reply = inChannels(
      '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes, as in <|end',
    );
    await withEndpoint({ reply, codec: channelCodec, reasoning: CHANNELS }, async (endpoint) => {
      const { reasoning, content, usage } = await streamed(endpoint);
      assert.deepEqual([reasoning, content], ['Hm', 'Yes, as in <|end']);
      // The marks are one token each, all other characters as well.
      assert.equal(usage?.completion_tokens_details?.reasoning_tokens, 'canalysismHme'.length);
      const kept = await streamed(endpoint, { reasoning_format: 'none' });
      assert.match(kept.content, /^<\|channel\|>analysis<\|message\|>Hm<\|end\|><\|start\|>assistant/);
    });
  });

  it('begins where the template has opened it, but not where a user has', async () => {
    const opening = (tail: string): ChatRenderer => ({
      render: async (messages, options) => {
        const { text, typed } = await plainTemplate.render(messages, options);
        return { text: text + tail, typed };
      },
    });
    const answer = async (template: ChatRenderer, content = 'Hi'): Promise<unknown> => {
      let message: Reasoned = {};
      await withEndpoint({ reply: 'Hm.\n</think>\nYes.', template, reasoning: TEXT_MARKS }, async (endpoint) => {
        const messages = [{ role: 'user' as const, content }];
        const { choices } = await clientFor(endpoint).chat.completions.create({ ...chat, messages });
        message = choices[0]!.message;
      });
      return [message.reasoning_content, message.content];
    };
    const untouched = [undefined, 'Hm.\n</think>\nYes.'];
    assert.deepEqual(await answer(opening('<think>\n')), ['Hm.', 'Yes.']);
    assert.deepEqual(await answer(opening('')), untouched);
    const bare: ChatRenderer = {
      render: async ([message]) => ({ text: `${message?.content}`, typed: [[0, String(message?.content).length]] }),
    };
    assert.deepEqual(await answer(bare, 'Think like this: <think>\n'), untouched);
  });

  it('stays in the content, or is left out, where a request asks for that', async () => {
    await withEndpoint({ reply: written, reasoning: TEXT_MARKS }, async (endpoint) => {
      const message = async (fields: object): Promise<Reasoned> =>
        (await clientFor(endpoint).chat.completions.create({ ...chat, ...fields })).choices[0]!.message;
      const { reasoning_content: none, content } = await message({ reasoning_format: 'none' });
      assert.deepEqual([none, content], [undefined, written]);
      assert.equal((await message({ reasoning_format: 'deepseek' })).reasoning_content, 'Hm, 3 + 4.');
      const left = await message({ include_reasoning: false });
      assert.deepEqual([left.reasoning_content, left.content], [undefined, 'Seven: €7.']);
      const stream = await streamed(endpoint, { include_reasoning: false });
      assert.deepEqual([stream.reasoning, stream.content], ['', 'Seven: €7.']);
      await assert.rejects(message({ reasoning_format: 'hidden' }), BadRequestError);
      const raw = await clientFor(endpoint).completions.create({ model: 'fake-model', prompt: 'Hi', max_tokens: 99 });
      assert.equal(raw.choices[0]?.text, written, 'a prompt that is continued has no answer to be told apart');
    });
  });

  it('counts for limits and stop sequences as any text, and each token has its log probability', async () => {
    await withEndpoint({ reply: written, reasoning: TEXT_MARKS }, async (endpoint) => {
      const choice = async (fields: object) =>
        (await clientFor(endpoint).chat.completions.create({ ...chat, ...fields })).choices[0]!;
      const told = ({ message, finish_reason }: OpenAI.ChatCompletion.Choice): unknown[] => {
        const { reasoning_content, content }: Reasoned = message;
        return [reasoning_content, content, finish_reason];
      };
      assert.deepEqual(told(await choice({ max_tokens: 12 })), ['Hm,', '', 'length']);
      assert.deepEqual(told(await choice({ stop: ' +' })), ['Hm, 3', '', 'stop']);
      assert.deepEqual(told(await choice({ stop: ': ' })), ['Hm, 3 + 4.', 'Seven', 'stop']);
      const { logprobs } = await choice({ logprobs: true });
      assert.equal(logprobs?.content?.length, Buffer.byteLength(written));
      const request = { ...chat, logprobs: true, stream: true } as const;
      let tokens = 0;
      for await (const { choices } of await clientFor(endpoint).chat.completions.create(request)) {
        tokens += choices[0]?.logprobs?.content?.length ?? 0;
      }
      assert.equal(tokens, Buffer.byteLength(written));
    });
  });

  it('is not what "starling chat" writes to a pipe', async (t) => {
    const sandbox = new Sandbox(t);
    await withEndpoint({ reply: written, reasoning: TEXT_MARKS }, async ({ url }) => {
      const chatting = { home: sandbox.home('home'), stdin: 'What is 3 + 4?\n' };
      const { code, stdout, stderr } = await sandbox.run(['chat', '--url', url, '--temperature', '0'], chatting);
      assert.deepEqual([code, stdout, stderr], [0, 'Seven: €7.\n', '']);
      const parts = [];
      for await (const part of streamChat({ url, ...chat })) parts.push(part);
      assert.equal(parts.map(({ reasoning }) => reasoning).join(''), 'Hm, 3 + 4.');
    });
  });

  it('of earlier turns goes to the template by the names that templates read', async () => {
    const seen: ChatMessage[] = [];
    const template: ChatRenderer = {
      render: (messages, options) => {
        seen.push(...messages);
        return plainTemplate.render(messages, options);
      },
    };
    await withEndpoint({ template }, async (endpoint) => {
      const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
      const messages = [
        { role: 'user', content: 'Hi', reasoning_content: 'mine' },
        { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm.' },
        { role: 'assistant', content: null, reasoning_content: 'Ah.', tool_calls: [call] },
        { role: 'assistant', content: 'No.', reasoning_content: null },
      ];
      await clientFor(endpoint).chat.completions.create({ ...chat, messages: messages as never });
    });
    const shown = seen.map(({ reasoning_content, thinking }) => [reasoning_content, thinking]);
    const none = [undefined, undefined];
    assert.deepEqual(shown, [none, ['Hm.', undefined], ['Ah.', 'Ah.'], none]);
  });
});
