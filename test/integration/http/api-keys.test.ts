import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { AuthenticationError } from 'openai';
import { servedModel, streamChat } from '../../../coordinator/cli/chat-client.ts';
import { ApiKeys } from '../../../coordinator/keys/api-keys.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const ADA = 'key-of-ada-0123456789';
const BOB = 'key-of-bob-0123456789';
const keys = (): ApiKeys =>
  new ApiKeys([
    { name: 'ada', key: ADA },
    { name: 'bob', key: BOB },
  ]);
const messages = [{ role: 'user' as const, content: 'Hi' }];

describe('an endpoint with keys', () => {
  it('refuses whoever shows none of them, in the words of each dialect', async () => {
    await withEndpoint({ http: { keys: keys() } }, async ({ url }) => {
      const shapes: readonly (readonly [path: string, type: (body: never) => unknown, expected: unknown])[] = [
        ['/v1/chat/completions', ({ error }: { error: { code: string } }) => error.code, 'unauthorized'],
        ['/v1/messages', ({ error }: { error: { type: string } }) => error.type, 'authentication_error'],
        ['/api/chat', ({ error }: { error: unknown }) => typeof error, 'string'],
        ['/tokenize', ({ error }: { error: { code: number } }) => error.code, 401],
        ['/there/is/nothing', ({ error }: { error: { code: string } }) => error.code, 'unauthorized'],
      ];
      for (const [path, type, expected] of shapes) {
        for (const headers of [{}, { authorization: `Bearer ${ADA}x` }, { 'x-api-key': 'none' }]) {
          const answer = await rawRequest(url + path, { headers: headers as Record<string, string>, body: '{}' });
          assert.equal(answer.status, 401, path);
          assert.equal(answer.headers['www-authenticate'], 'Bearer');
          assert.equal(type(JSON.parse(answer.text) as never), expected, path);
          assert.ok(!answer.text.includes(ADA));
        }
      }
      assert.equal((await rawRequest(`${url}/metrics`)).status, 401);
      assert.equal((await rawRequest(`${url}/health`)).status, 200);
    });
  });

  it('answers who shows one, in either header, and counts whose it was', async () => {
    await withEndpoint({ reply: 'Hello', http: { keys: keys() } }, async ({ url }) => {
      const client = (apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
      const { choices } = await client(ADA).chat.completions.create({ model: 'starling', messages });
      assert.equal(choices[0]?.message.content, 'Hello');
      await assert.rejects(client('none').models.list(), AuthenticationError);
      const file = new File([new Uint8Array(5e6)], 'large');
      await assert.rejects(client('none').files.create({ file, purpose: 'batch' }), AuthenticationError);
      const body = JSON.stringify({ model: 'starling', max_tokens: 2, messages });
      assert.equal((await rawRequest(`${url}/v1/messages`, { headers: { 'x-api-key': BOB }, body })).status, 200);
      const { text } = await rawRequest(`${url}/metrics`, { headers: { 'x-api-key': BOB } });
      assert.match(text, /^starling_key_requests_total\{key="ada"\} 1$/m);
      assert.match(text, /^starling_key_requests_total\{key="bob"\} 2$/m);
      assert.ok(!text.includes(ADA));
    });
  });

  it('takes all requests with a key for those of one user, whatever they say', async () => {
    const seen: string[] = [];
    await withEndpoint({ http: { keys: keys() } }, async ({ url, service }) => {
      const chat = service.chat.bind(service);
      service.chat = (conversation, settings, signal) => {
        seen.push(settings.standing.user);
        return chat(conversation, settings, signal);
      };
      for (const [key, user] of [
        [ADA, 'one'],
        [ADA, 'two'],
        [BOB, 'one'],
      ]) {
        const body = JSON.stringify({ messages, user });
        await rawRequest(`${url}/v1/chat/completions`, { headers: { authorization: `Bearer ${key}` }, body });
      }
    });
    const [first, second, third] = seen;
    assert.equal(first, second);
    assert.notEqual(first, third);
  });

  it('lets a browser ask without a key whether it may', async () => {
    await withEndpoint({ http: { keys: keys() } }, async ({ url }) => {
      const headers = {
        origin: 'http://localhost:3000',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      };
      const answer = await rawRequest(`${url}/v1/chat/completions`, { method: 'OPTIONS', headers });
      assert.equal(answer.status, 204);
      assert.match(String(answer.headers['access-control-allow-headers']), /authorization/);
      const refused = await rawRequest(`${url}/v1/models`, { headers: { origin: 'http://localhost:3000' } });
      assert.equal(refused.status, 401);
      assert.equal(refused.headers['access-control-allow-origin'], 'http://localhost:3000');
    });
  });

  it('takes the key of the terminal client', async () => {
    await withEndpoint({ reply: 'Hello', http: { keys: keys() } }, async ({ url }) => {
      await assert.rejects(servedModel(url), { code: 'unauthorized' });
      for (const key of ['schlüssel-0123456789', 'with space 0123456789', '']) {
        await assert.rejects(servedModel(url, key), { code: 'key_invalid' });
      }
      const model = await servedModel(url, ADA);
      await assert.rejects(streamChat({ url, model, messages }).next(), { code: 'unauthorized' });
      let answer = '';
      for await (const { text } of streamChat({ url, apiKey: ADA, model, messages })) answer += text;
      assert.equal(answer, 'Hello');
    });
  });
});
