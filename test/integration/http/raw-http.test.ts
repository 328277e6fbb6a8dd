import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { HttpServer } from '../../../coordinator/http/server.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { eventually, type RawResponse, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const CHAT = '/v1/chat/completions';
const chatBody = (more: object = {}): string =>
  JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], ...more });

function assertError(response: RawResponse, status: number, code: string, param: string | null = null): string {
  assert.equal(response.status, status, response.text);
  assert.match(String(response.headers['content-type']), /^application\/json/);
  const { error } = JSON.parse(response.text) as {
    error: { message: string; type: string; param: unknown; code: string };
  };
  assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
  assert.deepEqual([error.code, error.param], [code, param], response.text);
  return error.message;
}

/** Sends raw bytes and gives back everything that comes until the server closes. */
function exchangeBytes(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

describe('raw HTTP', () => {
  it('refuses bodies that are no request, in the shape of its errors', async () => {
    await withEndpoint({}, async ({ url }) => {
      const post = (body: string | Buffer, path = CHAT) => rawRequest(url + path, { body });
      assert.match(assertError(await post('{"messages": ['), 400, 'invalid_json'), /not valid JSON/);
      assert.match(assertError(await post(''), 400, 'invalid_json'), /empty/);
      assertError(await post(Buffer.from([0xff, 0xfe, 0])), 400, 'invalid_json');
      assertError(await post('[1]'), 400, 'invalid_request');
      assertError(await post('null'), 400, 'invalid_request');
      assertError(await post('{}'), 400, 'invalid_request', 'messages');
      assertError(await post('{}', '/v1/completions'), 400, 'invalid_request', 'prompt');
    });
  });

  it('takes JSON under any content type', async () => {
    await withEndpoint({}, async ({ url }) => {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8']) {
        const response = await rawRequest(url + CHAT, { headers: { 'Content-Type': type }, body: chatBody() });
        assert.equal(response.status, 200, response.text);
      }
    });
  });

  it('names the field at fault', async () => {
    await withEndpoint({}, async ({ url }) => {
      const user = { role: 'user', content: 'Hi' };
      const cases: [object, string][] = [
        [{ messages: [] }, 'messages'],
        [{ messages: [user, { role: 'user' }] }, 'messages[1].content'],
        [{ messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role'],
        [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0]'],
        [{ temperature: 'hot' }, 'temperature'],
        [{ top_p: 1.5 }, 'top_p'],
        [{ n: 9 }, 'n'],
        [{ max_tokens: -3 }, 'max_tokens'],
        [{ seed: 1.5 }, 'seed'],
        [{ stop: Array.from({ length: 17 }, () => 'x') }, 'stop'],
        [{ logit_bias: { abc: 1 } }, 'logit_bias.abc'],
        [{ logit_bias: { 5: 101 } }, 'logit_bias.5'],
        [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
        [{ top_logprobs: 2 }, 'top_logprobs'],
        [{ stream: 'yes' }, 'stream'],
        [{ model: 7 }, 'model'],
      ];
      for (const [more, param] of cases) {
        assertError(await rawRequest(url + CHAT, { body: chatBody(more) }), 400, 'invalid_request', param);
      }
      const prompts: [unknown, string][] = [
        [[], 'prompt'],
        [[[]], 'prompt[0]'],
        [['a', 1], 'prompt[1]'],
        [[1.5], 'prompt[0]'],
        [[-1], 'prompt[0]'],
        [[100_000], 'prompt'],
      ];
      for (const [prompt, param] of prompts) {
        const body = JSON.stringify({ prompt });
        assertError(await rawRequest(`${url}/v1/completions`, { body }), 400, 'invalid_request', param);
      }
    });
  });

  it('refuses what would change the meaning and ignores what would not', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const tools = [{ type: 'function', function: { name: 'f' } }];
      const image = { type: 'image_url', image_url: { url: 'data:,' } };
      const chat: [object, string][] = [
        [{ tools }, 'tools'],
        [{ tools, tool_choice: 'auto' }, 'tools'],
        [{ functions: [{ name: 'f' }] }, 'functions'],
        [{ modalities: ['text', 'audio'] }, 'modalities'],
        [{ audio: { voice: 'x', format: 'mp3' } }, 'audio'],
        [{ messages: [{ role: 'user', content: [image] }] }, 'messages[0].content[0]'],
      ];
      for (const [more, param] of chat) {
        const response = await rawRequest(url + CHAT, { body: chatBody(more) });
        assertError(response, 400, 'unsupported_parameter', param);
      }
      for (const [param, value] of Object.entries({ input_suffix: 'end', best_of: 2 })) {
        const body = JSON.stringify({ prompt: 'a', [param]: value });
        assertError(await rawRequest(`${url}/v1/completions`, { body }), 400, 'unsupported_parameter', param);
      }
      const harmless = {
        tools,
        tool_choice: 'none',
        response_format: { type: 'text' },
        modalities: ['text'],
        audio: null,
        user: 'me',
        store: true,
        metadata: { a: 'b' },
        unknown: [1],
        temperature: null,
        n: null,
        stop: null,
      };
      assert.equal((await rawRequest(url + CHAT, { body: chatBody(harmless) })).status, 200);
      const best = JSON.stringify({ prompt: 'a', suffix: '', best_of: 1 });
      assert.equal((await rawRequest(`${url}/v1/completions`, { body: best })).status, 200);
    });
  });

  it('A3, M8: refuses the demands of other servers, and meets some', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const post = (path: string, body: object) => rawRequest(url + path, { body: JSON.stringify(body) });
      const bodies = { [CHAT]: JSON.parse(chatBody()) as object, '/v1/completions': { prompt: 'a', max_tokens: 9 } };
      for (const [path, body] of Object.entries(bodies)) {
        for (const [param, value] of Object.entries({ grammar_lazy: true, typical_p: 0.5 })) {
          assertError(await post(path, { ...body, [param]: value }), 400, 'unsupported_parameter', param);
        }
        const met = { ...body, ignore_eos: true, max_tokens: 5, repeat_penalty: 1, grammar: null, unheard_of: 1 };
        const answer = await post(path, met);
        assert.equal(answer.status, 200, answer.text);
        const { usage, choices } = JSON.parse(answer.text) as {
          usage: { completion_tokens: number };
          choices: { finish_reason: string }[];
        };
        assert.deepEqual([usage.completion_tokens, choices[0]!.finish_reason], [5, 'length']);
      }
      const stop = await post('/v1/completions', { prompt: 'a', stop_token_ids: [2 + 'k'.charCodeAt(0)] });
      assert.equal((JSON.parse(stop.text) as { choices: { text: string }[] }).choices[0]!.text, 'o');
    });
  });

  it('hands every kind of message to the template', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } };
      const messages = [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', content: '1', tool_call_id: 'c1' },
      ];
      const response = await rawRequest(url + CHAT, { body: chatBody({ messages }) });
      const { usage } = JSON.parse(response.text) as { usage: { prompt_tokens: number } };
      const text = 'system: Be brief.\nuser: a\nb\nassistant: \ntool: 1\nassistant: ';
      assert.equal(usage.prompt_tokens, 1 + text.length);
    });
  });

  it('continues the last message where it is asked to', async () => {
    await withEndpoint({ reply: 'Once upon a time' }, async ({ url }) => {
      const messages = [
        { role: 'user', content: 'Tell' },
        { role: 'assistant', content: 'Once upon' },
      ];
      const ask = async (more: object) => {
        const { text } = await rawRequest(url + CHAT, { body: chatBody({ messages, ...more }) });
        return JSON.parse(text) as {
          choices: { message: { content: string } }[];
          usage: { prompt_tokens: number };
          error?: { param: string };
        };
      };
      const continued = await ask({ continue_final_message: true, add_generation_prompt: false });
      assert.equal(continued.choices[0]!.message.content, ' a time');
      assert.equal(continued.usage.prompt_tokens, 1 + 'user: Tell\nassistant: Once upon'.length);
      assert.equal((await ask({})).choices[0]!.message.content, 'Once upon a time');
      const ended = await ask({ messages: messages.slice(0, 1), continue_final_message: true });
      assert.equal(ended.error?.param, 'messages');
    });
  });

  it('limits bodies, with and without a declared length', async () => {
    await withEndpoint({}, async ({ url, port, service }) => {
      const body = chatBody({ padding: 'x'.repeat(4 * 1024 * 1024) });
      assertError(await rawRequest(url + CHAT, { body }), 413, 'request_too_large');
      const chunked = await rawRequest(url + CHAT, { body, headers: { 'Transfer-Encoding': 'chunked' } });
      assertError(chunked, 413, 'request_too_large');
      const declared = `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n{`;
      assert.match(await exchangeBytes(port, declared), /^HTTP\/1\.1 413 /);
      assert.deepEqual(service.load, { waiting: 0, running: 0 });
      const large = chatBody({ padding: 'x'.repeat(4 * 1024 * 1024 - 200) });
      assert.equal((await rawRequest(url + CHAT, { body: large })).status, 200);
    });
  });

  it('answers unknown routes and wrong methods in the same shape', async () => {
    await withEndpoint({}, async ({ url }) => {
      assertError(await rawRequest(`${url}/v1/nothing`), 404, 'route_not_found');
      assertError(await rawRequest(`${url}/v2`), 404, 'route_not_found');
      const wrong = await rawRequest(url + CHAT);
      assertError(wrong, 405, 'method_not_allowed');
      assert.equal(wrong.headers.allow, 'POST');
      assertError(await rawRequest(`${url}/health`, { method: 'DELETE' }), 405, 'method_not_allowed');
      assertError(await rawRequest(`${url}/v1/models/other`), 404, 'model_not_found', 'model');
      assert.equal((await rawRequest(`${url}/health`, { method: 'HEAD' })).status, 200);
    });
  });

  it('survives requests that are not HTTP, or have no usable Host', async () => {
    await withEndpoint({}, async ({ url, port }) => {
      assert.match(await exchangeBytes(port, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /);
      assert.match(await exchangeBytes(port, 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
      const odd = 'GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n';
      assert.match(await exchangeBytes(port, odd), /^HTTP\/1\.1 40[03] /);
      assert.match(await exchangeBytes(port, 'GET /health HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 40[03] /);
      assert.equal((await rawRequest(`${url}/health`)).status, 200);
    });
  });

  it('tells its health', async () => {
    const devices = () => [{ id: 'a', name: 'desk', state: 'ready', tiles: 12 }];
    await withEndpoint({ http: { devices } }, async ({ url }) => {
      assert.deepEqual(JSON.parse((await rawRequest(`${url}/health`)).text), {
        status: 'ok',
        model: 'fake-model',
        devices: [{ id: 'a', name: 'desk', state: 'ready', tiles: 12 }],
        queue: { waiting: 0, running: 0 },
        kv: { pages: 512, free: 512, cached: 0, sequences: 0 },
      });
    });
  });

  it('keeps foreign pages and rebound names out', async () => {
    await withEndpoint(
      { http: { allowedOrigins: ['https://chat.example'], allowedHosts: ['box.home'] } },
      async (endpoint) => {
        const { url, port } = endpoint;
        const get = (headers: Record<string, string>) => rawRequest(`${url}/v1/models`, { headers });
        for (const Host of [`localhost:${port}`, '127.0.0.1', `[::1]:${port}`, 'LOCALHOST', 'box.home:80']) {
          assert.equal((await get({ Host })).status, 200, Host);
        }
        for (const Host of [
          'evil.example',
          `evil.example:${port}`,
          '192.168.1.7',
          'localhost.evil.example',
          '127.0.0.1.nip.io',
        ]) {
          assertError(await get({ Host }), 403, 'forbidden_origin');
        }
        for (const Origin of ['http://localhost:3000', 'http://127.0.0.1', 'https://chat.example', 'http://[::1]:5']) {
          const response = await get({ Origin });
          assert.equal(response.status, 200, Origin);
          assert.equal(response.headers['access-control-allow-origin'], Origin);
        }
        for (const Origin of [
          'https://evil.example',
          'null',
          'file://',
          'http://chat.example',
          'http://localhost.evil.example',
        ]) {
          const response = await get({ Origin });
          assertError(response, 403, 'forbidden_origin');
          assert.equal(response.headers['access-control-allow-origin'], undefined);
        }
        const post = await rawRequest(url + CHAT, { headers: { Origin: 'https://evil.example' }, body: chatBody() });
        assertError(post, 403, 'forbidden_origin');
        assert.equal(endpoint.model.steps, 0);
      },
    );
  });

  it('answers preflights and lets allowed pages read errors', async () => {
    await withEndpoint({}, async ({ url }) => {
      const Origin = 'http://localhost:3000';
      const preflight = await rawRequest(url + CHAT, {
        method: 'OPTIONS',
        headers: {
          Origin,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'authorization,content-type,x-stainless-os',
        },
      });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers['access-control-allow-origin'], Origin);
      assert.match(String(preflight.headers['access-control-allow-methods']), /POST/);
      assert.match(String(preflight.headers['access-control-allow-headers']), /x-stainless-os/);
      const error = await rawRequest(url + CHAT, { headers: { Origin }, body: '{' });
      assertError(error, 400, 'invalid_json');
      assert.equal(error.headers['access-control-allow-origin'], Origin);
      const missing = await rawRequest(`${url}/nothing`, { headers: { Origin } });
      assert.equal(missing.headers['access-control-allow-origin'], Origin);
    });
  });

  it('takes any address literal when it is bound to all addresses', async () => {
    await withEndpoint({ http: { host: '0.0.0.0' } }, async ({ url }) => {
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
      const get = (headers: Record<string, string>) => rawRequest(`${url}/health`, { headers });
      assert.equal((await get({ Host: '192.168.1.7:7827', Origin: 'http://192.168.1.7:7827' })).status, 200);
      assert.equal((await get({ Host: '[fe80::1]' })).status, 200);
      assertError(await get({ Host: 'evil.example' }), 403, 'forbidden_origin');
      assertError(await get({ Host: '192.168.1.7:7827', Origin: 'http://192.168.1.8' }), 403, 'forbidden_origin');
    });
  });

  it('says so when its port is taken', async () => {
    await withEndpoint({}, async ({ service, port }) => {
      const log = createLogger('silent', 'test');
      await assert.rejects(
        new HttpServer({ service, log, port }).start(),
        (error) => error instanceof StarlingError && error.code === 'address_in_use' && /--port/.test(error.message),
      );
      await assert.rejects(
        new HttpServer({ service, log, port: 0, host: '192.0.2.1' }).start(),
        (error) => error instanceof StarlingError && error.code === 'invalid_argument',
      );
    });
  });

  it('ends running and waiting requests when it stops', async () => {
    const beforeStep = (step: number) => new Promise<void>((resolve) => setTimeout(resolve, step === 0 ? 0 : 5));
    await withEndpoint({ reply: 'x'.repeat(3000), beforeStep }, async ({ url, server, service, model }) => {
      const streamed = rawRequest(url + CHAT, { body: chatBody({ stream: true }) });
      await eventually(() => model.steps > 3, 'the stream runs');
      const waiting = rawRequest(url + CHAT, { body: chatBody() });
      // It waits for a step at most, which may pass between two looks.
      await eventually(() => service.load.waiting + service.load.running === 2, 'another has come');
      await server.stop();
      const { text } = await streamed;
      assert.match(text, /data: \{"error":\{"message":"the server is stopping[^\n]*"code":"cancelled"\}\}\n\n$/);
      assertError(await waiting, 499, 'cancelled');
      assert.deepEqual([service.load, service.statistics.kv.sequences], [{ waiting: 0, running: 0 }, 0]);
      await server.stop();
    });
  });
});
