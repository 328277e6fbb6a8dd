import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChatRequest } from '../../../../../../coordinator/http/dialects/openai/chat-request.ts';
import { parseCompletionRequest } from '../../../../../../coordinator/http/dialects/openai/completion-request.ts';
import { parseEmbeddingRequest } from '../../../../../../coordinator/http/dialects/openai/embedding-request.ts';
import type { RequestOrigin } from '../../../../../../coordinator/http/request-origin.ts';
import { StarlingError } from '../../../../../../daemon/errors.ts';

let drawn = 1000;
const origin = { randomSeed: () => drawn++, userOf: () => 'somebody' } as unknown as RequestOrigin;
const messages = [{ role: 'user', content: 'Hello' }];
const chat = (fields: object) => parseChatRequest({ messages, ...fields }, origin);
const complete = (fields: object) => parseCompletionRequest({ prompt: 'Hello', ...fields }, origin);

function refused(request: () => unknown, param: string, message: RegExp, code = 'invalid_request'): void {
  assert.throws(
    request,
    (error: unknown) =>
      error instanceof StarlingError && error.code === code && error.param === param && message.test(error.message),
    param,
  );
}

test('A4: a seed below zero, or none, is another one each time', () => {
  for (const seed of [-1, -2, null, undefined]) {
    const seeds = [chat, complete, chat].map((ask) => ask({ seed }).settings.sampling.seed);
    assert.equal(new Set(seeds).size, 3, String(seed));
  }
  assert.deepEqual(
    [chat, complete].map((ask) => ask({ seed: 7 }).settings.sampling.seed),
    [7, 7],
  );
  assert.equal(chat({ seed: 0 }).settings.sampling.seed, 0);
  for (const top_k of [-1, 0, null]) assert.equal(chat({ top_k }).settings.sampling.topK, 0);
});

test('M9: limits of tokens: below zero for none, zero for no token', () => {
  for (const ask of [chat, complete]) {
    for (const limit of [-1, -2]) {
      assert.equal(ask({ max_tokens: limit }).settings.maxTokens, null);
      assert.equal(ask({ n_predict: limit }).settings.maxTokens, null);
    }
    assert.equal(ask({ max_tokens: 0 }).settings.maxTokens, 0);
    assert.equal(ask({ n_predict: 5 }).settings.maxTokens, 5);
    assert.equal(ask({ max_tokens: 3, n_predict: 5 }).settings.maxTokens, 3);
    refused(() => ask({ max_tokens: -3 }), 'max_tokens', /is not valid/);
    refused(() => ask({ max_tokens: 1.5 }), 'max_tokens', /integer/);
  }
  assert.equal(chat({}).settings.maxTokens, null);
  assert.equal(complete({}).settings.maxTokens, 16);
  assert.equal(chat({ max_completion_tokens: -1, max_tokens: 9 }).settings.maxTokens, null);
});

test('A12: an empty list stands for an empty object', () => {
  for (const ask of [chat, complete]) {
    const { settings, includeUsage } = ask({ logit_bias: [], stream_options: [], metadata: [] });
    assert.deepEqual([settings.sampling.logitBias.size, includeUsage], [0, false]);
  }
  const call = (args: unknown) => ({ id: 'c', type: 'function', function: { name: 'f', arguments: args } });
  const withCall = (args: unknown) =>
    chat({ messages: [...messages, { role: 'assistant', tool_calls: [call(args)] }], chat_template_kwargs: [] })
      .conversation.messages[1]!.toolCalls![0]!.arguments;
  for (const args of [[], {}, '{}']) assert.deepEqual(withCall(args), {});
  assert.deepEqual(withCall({ a: 1 }), { a: 1 });
  assert.equal(withCall('no JSON'), 'no JSON');
  refused(() => chat({ logit_bias: [1] }), 'logit_bias', /record|object/);
});

test('A11: what is wrong with a message is said, with its place', () => {
  const content = (value: unknown) => () => chat({ messages: [{ role: 'user', content: value }] });
  const text = { type: 'text', text: 'Hello' };
  refused(
    content([text, 'plain']),
    'messages[0].content[1]',
    /is a plain text where a part is expected; write \{"type"/,
  );
  refused(content([null]), 'messages[0].content[0]', /is null/);
  refused(content([{ text: 'Hello' }]), 'messages[0].content[0]', /has no 'type'; write/);
  refused(content([{ type: 'text' }]), 'messages[0].content[0]', /has no 'text'/);
  refused(content([{ type: 'text', text: 5 }]), 'messages[0].content[0]', /has a number for its 'text'/);
  for (const type of ['input_text', 'image_url']) {
    const code = 'unsupported_parameter';
    refused(content([text, { type }]), 'messages[0].content[1]', new RegExp(`is a '${type}' part.*write`), code);
  }
  // What has no text of its own either.
  const type = { toString: 1 };
  refused(content([{ type }]), 'messages[0].content[0]', /whose 'type' is an object; only/, 'unsupported_parameter');
  refused(content(5), 'messages[0].content', /is a number; give a text, or a list of parts/);
  refused(content({ type: 'text' }), 'messages[0].content', /is an object/);
  assert.deepEqual(content([text])().conversation.messages[0]!.content, [text]);

  refused(() => chat({ stop: ['a', 5] }), 'stop[1]', /string/);
  refused(() => complete({ prompt: ['a', null] }), 'prompt[1]', /string/);
  refused(() => complete({ prompt: [[1, 'b']] }), 'prompt[0][1]', /number/);
  // What is behind is not looked at: a body has room for a million more.
  const rest = { get: () => assert.fail('it was looked at') };
  refused(() => complete({ prompt: Object.defineProperty([{}], 1, rest) }), 'prompt[0]', /string/);
  refused(() => complete({ prompt: 7 }), 'prompt', /expected a text, token ids, or a list/);
});

test('a suffix makes gaps of prompts that are texts', () => {
  const gaps = (fields: object) => complete({ suffix: '}', ...fields }).gaps;
  const after = '}';
  assert.deepEqual(gaps({ prompt: ['{', ''] }), [
    { before: '{', after },
    { before: '', after },
  ]);
  for (const suffix of ['', null, undefined]) assert.equal(gaps({ suffix }), null);
  refused(() => gaps({ prompt: [1, 2] }), 'prompt', /give both as texts/);
  refused(() => gaps({ echo: true }), 'echo', /beside 'suffix'/, 'unsupported_parameter');
  refused(() => gaps({ suffix: 5 }), 'suffix', /string/);
});

test('prompts and inputs are one or several texts, as text or token ids, up to a number', () => {
  const embed = (input: unknown) => parseEmbeddingRequest({ input }, origin).inputs;
  const continued = (prompt: unknown) => complete({ prompt }).prompts;
  const forms = ['Hi', ['Hi', ''], [1, 2], [[1], [2, 3]]];
  for (const read of [embed, continued])
    assert.deepEqual(forms.map(read), [['Hi'], ['Hi', ''], [[1, 2]], [[1], [2, 3]]]);
  for (const [read, most, param] of [
    [embed, 2048, 'input'],
    [continued, 64, 'prompt'],
  ] as const) {
    assert.equal(read(Array(most).fill('a')).length, most);
    assert.equal(read(Array(most + 1).fill(1)).length, 1);
    for (const one of ['a', [1]]) refused(() => read(Array(most + 1).fill(one)), param, new RegExp(`up to ${most} of`));
    refused(() => read([]), param, /is not valid/);
    refused(() => read(['a', 5]), `${param}[1]`, /is not valid/);
    refused(() => read([[1], []]), `${param}[1]`, /is not valid/);
  }
});
