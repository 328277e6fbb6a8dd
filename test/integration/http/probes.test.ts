import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BODY_LIMIT } from '../../../coordinator/http/json-body.ts';
import { HttpServer } from '../../../coordinator/http/server.ts';
import { createLogger } from '../../../daemon/log.ts';
import { byteToken } from '../../fixtures/fake-text-model.ts';
import { eventually, FAKE_FACTS, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

describe('what clients probe', () => {
  it('tokens of a text, and the text of tokens', async () => {
    await withEndpoint({}, async ({ url }) => {
      const post = async (path: string, body: object) =>
        JSON.parse((await rawRequest(url + path, { body: JSON.stringify(body) })).text) as Record<string, unknown>;
      const bytes = [...Buffer.from('aé')];
      const tokens = bytes.map(byteToken);
      assert.deepEqual(await post('/tokenize', { content: 'aé' }), { tokens });
      assert.deepEqual(await post('/tokenize', { content: '<s>a', add_special: true }), { tokens: [0, 0, tokens[0]] });
      const plain = await post('/tokenize', { content: '<s>', parse_special: false });
      assert.deepEqual(plain, { tokens: [...Buffer.from('<s>')].map(byteToken) });
      const [a, first, second] = tokens;
      assert.deepEqual(await post('/tokenize', { content: 'aé', with_pieces: true }), {
        tokens: [
          { id: a, piece: 'a' },
          { id: first, piece: [bytes[1]] },
          { id: second, piece: [bytes[2]] },
        ],
      });
      assert.deepEqual(await post('/detokenize', { tokens }), { content: 'aé' });
      const { error } = await post('/detokenize', { tokens: [100_000] });
      const { code, type, message } = error as { code: number; type: string; message: string };
      assert.deepEqual([code, type], [400, 'invalid_request_error']);
      assert.match(message, /token id 100000, which is outside/);
    });
  });

  it('tokens and prompt of a conversation, and tokens as vLLM counts them', async () => {
    await withEndpoint({}, async ({ url }) => {
      const post = async (path: string, body: object) => {
        const { status, text } = await rawRequest(url + path, { body: JSON.stringify(body) });
        return { status, ...JSON.parse(text) } as Record<string, unknown>;
      };
      const messages = [{ role: 'user', content: 'Hi' }];
      const prompt = '<s>user: Hi\nassistant: ';
      assert.deepEqual(await post('/apply-template', { messages }), { status: 200, prompt });
      const tokens = [0, ...[...Buffer.from(prompt.slice('<s>'.length))].map(byteToken)];
      const counted = { status: 200, count: tokens.length, max_model_len: 4096, tokens, token_strs: null };
      assert.deepEqual(await post('/tokenize', { model: 'starling', messages }), counted);
      const token_strs = ['', ...prompt.slice('<s>'.length)];
      const withTexts = await post('/tokenize', { messages, return_token_strs: true, add_generation_prompt: true });
      assert.deepEqual(withTexts, { ...counted, token_strs });
      const of = (...ids: number[]) => ({ ...counted, count: ids.length, tokens: ids });
      const hi = [...Buffer.from('Hi')].map(byteToken);
      assert.deepEqual(await post('/tokenize', { prompt: 'Hi' }), of(0, ...hi));
      assert.deepEqual(await post('/tokenize', { prompt: 'Hi', add_special_tokens: false }), of(...hi));
      const refusals: [path: string, body: object, status: number, message: RegExp][] = [
        ['/tokenize', {}, 400, /'content' is not valid/],
        ['/tokenize', { prompt: 5 }, 400, /'prompt' is not valid/],
        ['/tokenize', { model: 'other', prompt: 'Hi' }, 404, /'other' is not served/],
        ['/tokenize', { model: 'other', messages }, 404, /'other' is not served/],
        ['/apply-template', { messages: [{ role: 'user' }] }, 400, /'messages\[0\]\.content' is missing/],
      ];
      for (const [path, body, status, message] of refusals) {
        const refused = await post(path, body);
        assert.equal(refused.status, status, path);
        assert.match((refused.error as { message: string }).message, message);
      }
    });
  });

  it('what is served, and how busy it is', async () => {
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    await withEndpoint({ beforeStep: () => held }, async ({ url, service }) => {
      const get = async (path: string) => JSON.parse((await rawRequest(url + path)).text) as unknown;
      const { total_slots, chat_template, default_generation_settings } = (await get('/props')) as Record<
        string,
        unknown
      >;
      assert.deepEqual([total_slots, chat_template], [8, FAKE_FACTS.template]);
      assert.deepEqual(default_generation_settings, { n_ctx: 4096 });
      const busy = async () =>
        ((await get('/slots')) as { is_processing: boolean }[]).map((slot) => slot.is_processing);
      assert.deepEqual(await busy(), Array(8).fill(false));
      const answer = rawRequest(`${url}/completions`, { body: JSON.stringify({ prompt: 'a', max_tokens: 1 }) });
      await eventually(() => service.load.running === 1, 'the request runs');
      assert.deepEqual(await busy(), [true, ...Array(7).fill(false)]);
      goOn();
      assert.equal((await answer).status, 200);
    });
  });

  it('is told in its own words that the model is not up yet', async () => {
    const server = new HttpServer({ log: createLogger('silent', 'test'), port: 0 });
    const { url } = await server.start();
    try {
      const told = async (path: string) => {
        const { status, headers, text } = await rawRequest(url + path, { body: '{}' });
        assert.equal(status, 503);
        assert.ok(Number(headers['retry-after']) > 0);
        return JSON.parse(text) as { error: unknown };
      };
      const { error: message } = await told('/api/chat');
      assert.match(String(message), /is still being brought up/);
      assert.deepEqual(await told('/v1/messages'), { type: 'error', error: { type: 'api_error', message } });
      assert.deepEqual(await told('/tokenize'), { error: { code: 503, message, type: 'server_error' } });
      const openai = { message, type: 'server_error', param: null, code: 'starting' };
      assert.deepEqual(await told('/v1/chat/completions'), { error: openai });
    } finally {
      await server.stop();
    }
  });

  it('is told in its own words what is amiss', async () => {
    const speaker = ({ type, error }: { type?: string; error: { code: unknown } | string }): string => {
      if (typeof error === 'string') return 'Ollama';
      if (type === 'error') return 'Anthropic';
      return typeof error.code === 'number' ? 'llama.cpp' : 'OpenAI';
    };
    const paths = {
      '/v1/chat/completions': 'OpenAI',
      '/v1/messages': 'Anthropic',
      '/api/chat': 'Ollama',
      '/tokenize': 'llama.cpp',
    };
    const large = Buffer.alloc(BODY_LIMIT + 1, ' ');
    await withEndpoint({}, async ({ url }) => {
      const told = async (path: string, init: Parameters<typeof rawRequest>[1], status: number): Promise<string> => {
        const response = await rawRequest(url + path, init);
        assert.equal(response.status, status, response.text);
        return speaker(JSON.parse(response.text) as Parameters<typeof speaker>[0]);
      };
      for (const [path, dialect] of Object.entries(paths)) {
        assert.equal(await told(path, { body: '{' }, 400), dialect);
        assert.equal(await told(path, { method: 'PUT', body: '{}' }, 405), dialect);
        assert.equal(await told(path, { body: large }, 413), dialect);
        assert.equal(await told(path, { body: '{}', headers: { host: 'evil.example' } }, 403), dialect);
      }
      const headers = { 'anthropic-version': '2023-06-01' };
      assert.equal(await told('/v1/nothing', { headers }, 404), 'Anthropic');
      assert.equal(await told('/v1/models', { method: 'PUT', headers, body: '{}' }, 405), 'Anthropic');
      assert.equal(await told('/v1/nothing', {}, 404), 'OpenAI');
      assert.equal(await told('/api/nothing', {}, 404), 'Ollama');
    });
  });

  it('routes without /v1, with a slash at the end, by HEAD and OPTIONS', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] });
      for (const path of ['/chat/completions', '/chat/completions/', '/v1/chat/completions/']) {
        const response = await rawRequest(url + path, { body });
        assert.equal(response.status, 200, `${path}: ${response.text}`);
      }
      for (const path of ['/models', '/models/', '/models/fake-model', '/v1/models/', '/api/tags/', '/health/', '/']) {
        assert.equal((await rawRequest(url + path)).status, 200, path);
        const head = await rawRequest(url + path, { method: 'HEAD' });
        assert.deepEqual([head.status, head.text], [200, ''], path);
        assert.equal((await rawRequest(url + path, { method: 'OPTIONS' })).status, 204, path);
      }
    });
  });
});
