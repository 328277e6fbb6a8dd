import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ChatRenderer } from '../../../coordinator/generation/text-codec.ts';
import { HttpServer } from '../../../coordinator/http/server.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { createLogger } from '../../../daemon/log.ts';
import { plainTemplate } from '../../fixtures/fake-text-model.ts';
import { FAKE_FACTS, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

type Line = Record<string, unknown> & { message?: { content: string }; done?: boolean };

const lines = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const CHAT = { model: 'fake-model', messages: [{ role: 'user', content: 'Hi' }] };

describe('the API of Ollama', () => {
  it('streams a chat as lines of JSON, the last of which has counts and durations', async () => {
    await withEndpoint({ reply: 'Hé!' }, async ({ url }) => {
      const response = await rawRequest(`${url}/api/chat`, { body: JSON.stringify(CHAT) });
      assert.equal(response.headers['content-type'], 'application/x-ndjson');
      const all = lines(response.text);
      assert.equal(all.map(({ message }) => message!.content).join(''), 'Hé!');
      assert.ok(all.slice(0, -1).every(({ done }) => done === false));
      const { done, done_reason, eval_count, prompt_eval_count, total_duration } = all.at(-1)!;
      const prompt = 1 + 'user: Hi\nassistant: '.length;
      assert.deepEqual([done, done_reason, eval_count, prompt_eval_count], [true, 'stop', 4, prompt]);
      assert.ok(Number.isInteger(total_duration) && (total_duration as number) > 0);
    });
  });

  it('answers whole, with options, under the name that was asked for', async () => {
    await withEndpoint({ reply: 'Hello' }, async ({ url }) => {
      const body = { ...CHAT, model: 'fake-model:latest', stream: false, options: { num_predict: 2, num_ctx: 9 } };
      const { text } = await rawRequest(`${url}/api/chat`, { body: JSON.stringify(body) });
      const { model, message, done_reason } = JSON.parse(text) as Line;
      assert.deepEqual([model, message, done_reason], [body.model, { role: 'assistant', content: 'He' }, 'length']);
    });
  });

  it('generates from a prompt as a message, and from a raw one as it is', async () => {
    await withEndpoint({ reply: 'ok' }, async ({ url }) => {
      const generate = async (more: object): Promise<Line> => {
        const body = JSON.stringify({ model: 'starling', prompt: 'ab', stream: false, ...more });
        return JSON.parse((await rawRequest(`${url}/api/generate`, { body })).text) as Line;
      };
      const answer = await generate({ system: 'S' });
      assert.equal(answer.prompt_eval_count, 1 + 'system: S\nuser: ab\nassistant: '.length);
      assert.equal(answer.response, 'ok');
      assert.equal((await generate({ raw: true })).prompt_eval_count, 3);
      const loaded = await generate({ prompt: '', keep_alive: 300 });
      assert.deepEqual([loaded.response, loaded.done, loaded.done_reason], ['', true, 'load']);
      assert.equal((await generate({ prompt: '', keep_alive: 0 })).done_reason, 'unload');
    });
  });

  it('tells templates whether to think, and hands on what was thought', async () => {
    const seen: unknown[] = [];
    const template: ChatRenderer = {
      render: (messages, options) => {
        seen.push(options.variables, messages[1]?.reasoning_content);
        return plainTemplate.render(messages, options);
      },
    };
    await withEndpoint({ template }, async ({ url }) => {
      const messages = [...CHAT.messages, { role: 'assistant', content: 'Yes', thinking: 'Hm.' }];
      for (const think of [true, 'low', undefined]) {
        await rawRequest(`${url}/api/chat`, { body: JSON.stringify({ ...CHAT, messages, think }) });
      }
    });
    const low = { enable_thinking: true, reasoning_effort: 'low' };
    assert.deepEqual(seen, [{ enable_thinking: true }, 'Hm.', low, 'Hm.', {}, 'Hm.']);
  });

  it('keeps reasoning apart as thinking', async () => {
    const reasoning = { kind: 'enclosed', open: '<t>', close: '</t>', answer: null, tokens: new Map() } as const;
    await withEndpoint({ reply: '<t>Hm.</t>Yes', reasoning }, async ({ url }) => {
      const body = JSON.stringify({ ...CHAT, stream: false });
      const { message } = JSON.parse((await rawRequest(`${url}/api/chat`, { body })).text) as Line;
      assert.deepEqual(message, { role: 'assistant', content: 'Yes', thinking: 'Hm.' });
    });
  });

  it('lists the one model', async () => {
    await withEndpoint({}, async ({ url }) => {
      const get = async (path: string, body?: object) => {
        const { status, text } = await rawRequest(url + path, body === undefined ? {} : { body: JSON.stringify(body) });
        assert.equal(status, 200, text);
        return JSON.parse(text) as { models: Record<string, unknown>[] } & Record<string, unknown>;
      };
      for (const path of ['/api/tags', '/api/ps']) {
        const { models } = await get(path);
        assert.deepEqual([models.length, models[0]!.name, models[0]!.digest], [1, 'fake-model', FAKE_FACTS.digest]);
      }
      const { model_info, template } = await get('/api/show', { model: 'fake-model' });
      assert.deepEqual(model_info, { 'general.architecture': 'fake', 'fake.context_length': 4096 });
      assert.equal(template, FAKE_FACTS.template);
      assert.match(String((await get('/api/version')).version), /^\d+\.\d+\.\d+$/);
      assert.deepEqual(await get('/api/pull', { name: 'fake-model' }), { status: 'success' });
      assert.equal((await rawRequest(url, { method: 'HEAD' })).status, 200);
    });
  });

  it('tells what the model is good for', async () => {
    const cases = [
      [{}, ['completion']],
      [{ thinks: true }, ['completion', 'thinking']],
      [{ callsTools: true, fillsIn: true }, ['completion', 'tools', 'insert']],
      [{ embeds: true, callsTools: true, fillsIn: true, thinks: true }, ['embedding']],
    ] as const;
    for (const [facts, capabilities] of cases) {
      await withEndpoint({ facts }, async ({ url }) => {
        const { text } = await rawRequest(`${url}/api/show`, { body: JSON.stringify({ model: 'fake-model' }) });
        assert.deepEqual((JSON.parse(text) as { capabilities: string[] }).capabilities, capabilities);
      });
    }
  });

  it('words every error below /api as Ollama does', async () => {
    await withEndpoint({}, async ({ url }) => {
      const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
      const cases: [method: string, path: string, body: object | undefined, status: number, error: RegExp][] = [
        ['POST', '/api/chat', { ...CHAT, model: 'other' }, 404, /'other' is not served/],
        ['POST', '/api/chat', { ...CHAT, tools }, 400, /leave 'tools' out/],
        ['POST', '/api/chat', { ...CHAT, format: 'xml' }, 400, /'format' is not valid: expected "json" or/],
        ['POST', '/api/chat', { ...CHAT, format: { not: {} } }, 400, /"not" at # of the schema/],
        ['POST', '/api/chat', { ...CHAT, options: { mirostat: 2 } }, 400, /'options\.mirostat' is not supported/],
        ['POST', '/api/chat', { ...CHAT, options: { top_p: 2 } }, 400, /'options\.top_p' is not valid/],
        ['POST', '/api/generate', { prompt: 'a', suffix: 'b' }, 400, /cannot fill in the middle/],
        ['POST', '/api/generate', { prompt: 'a', images: ['aGk='] }, 400, /'images'/],
        ['POST', '/api/embed', { input: [5] }, 400, /'input\[0\]' is not valid/],
        ['DELETE', '/api/delete', { model: 'a' }, 400, /one model is served/],
        ['GET', '/api/nothing', undefined, 404, /nothing at GET/],
        ['GET', '/api/chat', undefined, 405, /use POST/],
      ];
      for (const [method, path, body, status, error] of cases) {
        const json = JSON.stringify(body ?? '');
        const sent = body === undefined ? {} : { body: json, headers: { 'Content-Length': String(json.length) } };
        const response = await rawRequest(url + path, { method, ...sent });
        assert.equal(response.status, status, response.text);
        const told = JSON.parse(response.text) as { error: string };
        assert.deepEqual(Object.keys(told), ['error']);
        assert.match(told.error, error);
      }
    });
  });

  it('says in a silence what every client can read, and why it ends early', async () => {
    const beforeStep = async (step: number): Promise<void> => {
      if (step > 0) throw new Error('the disk is gone');
      await new Promise((resolve) => setTimeout(resolve, 60));
    };
    await withEndpoint({ beforeStep, http: { keepAliveMs: 20 } }, async ({ url }) => {
      const all = lines((await rawRequest(`${url}/api/chat`, { body: JSON.stringify(CHAT) })).text);
      assert.deepEqual(all[0]!.message, { role: 'assistant', content: '' });
      assert.deepEqual(all.at(-1), { error: 'the disk is gone' });
    });
  });

  it('is served at a second port as well', async () => {
    await withEndpoint({}, async ({ service }) => {
      const log = createLogger('silent', 'test');
      const server = new HttpServer({ service, facts: FAKE_FACTS, log, port: 0, secondPort: 0 });
      const { url, secondUrl } = await server.start();
      assert.notEqual(url, secondUrl);
      for (const each of [url, secondUrl!]) assert.equal((await rawRequest(`${each}/api/tags`)).status, 200);
      const taken = new HttpServer({ log, port: 0, secondPort: Number(new URL(secondUrl!).port) });
      await assert.rejects(
        taken.start(),
        (error) => error instanceof StarlingError && /--ollama-port/.test(error.message),
      );
      await server.stop();
      await assert.rejects(rawRequest(secondUrl!));
    });
  });
});
