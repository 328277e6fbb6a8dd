import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

interface Health {
  readonly status: string;
  readonly model: string;
  readonly devices: readonly { readonly name: string; readonly state: string }[];
  readonly queue: { readonly waiting: number; readonly running: number };
  readonly kv: object;
  readonly left_out: readonly object[];
  readonly predicted: { readonly token_ms: number; readonly prompt_ms: number; readonly prompt_tokens: number };
  readonly measured: { readonly token_ms: number | null };
}

const MODEL = 'tiny-chat';
const messages = [{ role: 'user' as const, content: 'Tell me a story about a dog.' }];
const chat = { model: MODEL, messages, temperature: 0, max_tokens: 24 };
const completion = { model: MODEL, prompt: 'Once upon a time', temperature: 0, max_tokens: 24 };

const clientOf = (url: string): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000 });

async function healthOf(url: string): Promise<Health> {
  const { status, text } = await rawRequest(`${url}/health`);
  assert.equal(status, 200, text);
  return JSON.parse(text) as Health;
}

test('two daemons and this device serve OpenAI’s client', async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const one = await sandbox.daemon('one', await sandbox.homeWithKey('one', key));
  const two = await sandbox.daemon('two', await sandbox.homeWithKey('two', key));
  const own = await sandbox.homeWithKey('own', key);
  const served = await sandbox.serve(own, 'tiny-chat', [one, two], ['--context', '128']);
  const client = clientOf(served.url);
  assert.deepEqual([served.model, served.devices], [MODEL, 3]);

  await t.test('metrics name the devices', async () => {
    const { status, text } = await rawRequest(`${served.url}/metrics`);
    assert.equal(status, 200);
    assert.match(text, /^starling_device_seconds_total\{device="this device",id="own",constraint="compute"\} /m);
  });

  await t.test('health names the devices', async () => {
    const { devices, kv, left_out, predicted, measured, ...health } = await healthOf(served.url);
    // Eight conversations of 128 positions.
    assert.deepEqual(kv, { pages: 16, free: 16, cached: 0, sequences: 0 });
    assert.deepEqual(health, { status: 'ok', model: MODEL, queue: { waiting: 0, running: 0 } });
    assert.deepEqual(left_out, []);
    assert.ok(predicted.token_ms > 0 && predicted.prompt_ms > 0 && predicted.prompt_tokens === 128, 'a plan');
    assert.deepEqual(Object.keys(measured), ['token_ms']);
    // In the order of the devices' ids, which are random.
    assert.deepEqual(devices.map(({ name, state }) => `${name} ${state}`).sort(), [
      'one ready',
      'this device ready',
      'two ready',
    ]);
  });

  await t.test('a chat, whole and streamed, is the same text', async () => {
    const whole = await client.chat.completions.create(chat);
    const text = whole.choices[0]?.message.content ?? '';
    assert.ok(text.length > 10, text);
    assert.equal(whole.usage?.completion_tokens, 24);
    let streamed = '';
    let finish: string | null = null;
    for await (const { choices } of await client.chat.completions.create({ ...chat, stream: true })) {
      streamed += choices[0]?.delta.content ?? '';
      finish = choices[0]?.finish_reason ?? finish;
    }
    assert.equal(streamed, text);
    assert.equal(finish, 'length');
  });

  await t.test('a completion, whole and streamed, is the same text', async () => {
    const whole = await client.completions.create(completion);
    const text = whole.choices[0]?.text ?? '';
    assert.ok(text.startsWith(' there was'), text);
    assert.match(whole.system_fingerprint ?? '', /^starling-\d+\.\d+\.\d+\/[0-9a-f]{16}\/Q8_0\/kv-f16\//);
    let streamed = '';
    for await (const { choices } of await client.completions.create({ ...completion, stream: true })) {
      streamed += choices[0]?.text ?? '';
    }
    assert.equal(streamed, text);
  });

  await t.test('requests at the same time are all answered', async () => {
    const alone = await client.completions.create(completion);
    const answers = await Promise.all([1, 2, 3].map(() => client.completions.create(completion)));
    for (const answer of answers) assert.equal(answer.choices[0]?.text, alone.choices[0]?.text);
  });

  await t.test('A6: many requests at once are no reason to warn', async () => {
    const short = { ...completion, max_tokens: 2 };
    const answers = await Promise.all(Array.from({ length: 32 }, () => client.completions.create(short)));
    assert.equal(new Set(answers.map(({ choices }) => choices[0]?.text)).size, 1);
    assert.doesNotMatch(served.process.stderr, /Warning|MaxListeners|"level":[456]0/);
  });

  await t.test('an aborted stream ends its request and leaves the server answering', async () => {
    const before = await client.completions.create(completion);
    for (let round = 0; round < 3; round++) {
      const stream = await client.completions.create({ ...completion, max_tokens: 120, stream: true });
      let chunks = 0;
      for await (const _chunk of stream) {
        if (++chunks === 3) stream.controller.abort();
      }
      assert.ok(chunks >= 3 && chunks < 100, `${chunks} chunks`);
      const after = await client.completions.create(completion);
      assert.equal(after.choices[0]?.text, before.choices[0]?.text);
    }
    assert.deepEqual((await healthOf(served.url)).queue, { waiting: 0, running: 0 });
  });

  const chatUrl = '/v1/chat/completions';
  const body = (fields: object): string => JSON.stringify({ ...chat, ...fields });
  const refused: readonly (readonly [what: string, path: string, body: string, status: number, code: string])[] = [
    ['malformed JSON', chatUrl, '{"model": "tiny-chat-q8_0", "messages": [', 400, 'invalid_json'],
    ['no JSON at all', '/v1/completions', 'Once upon a time', 400, 'invalid_json'],
    ['JSON that is no object', chatUrl, '[1, 2]', 400, 'invalid_request'],
    ['messages of a wrong type', chatUrl, body({ messages: 'hello' }), 400, 'invalid_request'],
    ['no messages', chatUrl, body({ messages: [] }), 400, 'invalid_request'],
    [
      'a role that does not exist',
      chatUrl,
      body({ messages: [{ role: 'dog', content: 'x' }] }),
      400,
      'invalid_request',
    ],
    ['a temperature of a wrong type', chatUrl, body({ temperature: 'hot' }), 400, 'invalid_request'],
    ['a negative count', chatUrl, body({ n: -1 }), 400, 'invalid_request'],
    ['an unknown model', chatUrl, body({ model: 'gpt-4' }), 404, 'model_not_found'],
    [
      'tools',
      chatUrl,
      body({ tools: [{ type: 'function', function: { name: 'look' } }] }),
      400,
      'unsupported_parameter',
    ],
    [
      'a conversation that is too long',
      chatUrl,
      body({ messages: [{ role: 'user', content: 'a dog '.repeat(500) }] }),
      400,
      'context_length_exceeded',
    ],
    [
      'a prompt that is too long',
      '/v1/completions',
      JSON.stringify({ ...completion, prompt: 'a dog '.repeat(500) }),
      400,
      'context_length_exceeded',
    ],
    ['a body that is too large', '/v1/completions', `{"prompt": "${'x'.repeat(2e7)}"}`, 413, 'request_too_large'],
    ['an unknown route', '/v1/nothing', '{}', 404, 'route_not_found'],
    ['a method that a route does not take', '/v1/models', '{}', 405, 'method_not_allowed'],
  ];
  await t.test('what cannot be answered is refused by name, and the server answers on', async () => {
    for (const [what, path, text, status, code] of refused) {
      const answer = await rawRequest(served.url + path, { method: 'POST', body: text });
      const { error } = JSON.parse(answer.text) as { error: { code: string; message: string } };
      assert.deepEqual([answer.status, error.code], [status, code], `${what}: ${answer.text}`);
    }
    const after = await client.completions.create(completion);
    assert.ok(after.choices[0]?.text.startsWith(' there was'));
  });

  await t.test('it stops in order, and the daemons are free', async () => {
    assert.deepEqual(await served.process.stop('SIGINT'), { code: 0, signal: null });
    assert.doesNotMatch(served.process.stderr, /"level":[56]0/);
    const rows = await sandbox.runJson<{ name: string; state: string }[]>(
      ['devices', '--no-discovery', '--json', '--peer', one.address, '--peer', two.address],
      { home: own },
    );
    assert.deepEqual(
      rows.map(({ name, state }) => [name, state]),
      [
        ['one', 'free'],
        ['two', 'free'],
      ],
    );
  });
});
