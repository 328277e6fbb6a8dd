import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TextCodec } from '../../../coordinator/generation/text-codec.ts';
import { byteCodec } from '../../fixtures/fake-text-model.ts';
import { eventually, rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const PATH = '/v1/completions';

function openRequest(port: number, body: object): Socket {
  const text = JSON.stringify(body);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.setEncoding('utf8');
  socket.write(`POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  return socket;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe('clients that leave', () => {
  for (const stream of [false, true]) {
    it(`end their running request within one step (stream: ${stream})`, async () => {
      let current = -1;
      let advance = (): void => {};
      const beforeStep = (step: number) =>
        new Promise<void>((resolve) => {
          current = step;
          advance = resolve;
        });
      await withEndpoint({ beforeStep }, async ({ port, model, service }) => {
        const socket = openRequest(port, { prompt: 'a', stream });
        for (let step = 0; step < 3; step++) {
          await eventually(() => current === step, `step ${step}`);
          advance();
        }
        await eventually(() => current === 3, 'the step in which the client leaves');
        socket.destroy();
        await pause(30);
        advance();
        await eventually(() => service.load.running === 0, 'the request is over');
        assert.deepEqual([model.steps, service.statistics.kv.sequences], [4, 0]);
      });
    });

    it(`leave the queue at once (stream: ${stream})`, async () => {
      let open = (): void => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      await withEndpoint({ reply: 'ok', beforeStep: () => gate }, async ({ url, port, service }) => {
        const running = rawRequest(url + PATH, { body: '{"prompt":"a"}' });
        await eventually(() => service.load.running === 1, 'one runs');
        const waiting = Array.from({ length: 5 }, () => openRequest(port, { prompt: 'b', stream }));
        await eventually(() => service.load.waiting === 5, 'five wait');
        for (const socket of waiting) socket.destroy();
        await eventually(() => service.load.waiting === 0, 'none waits');
        assert.equal(service.load.running, 1);
        open();
        assert.equal((await running).status, 200);
        assert.equal(service.statistics.textsFinished, 1);
      });
    });
  }
});

describe('streams', () => {
  it('carry a role chunk at once and comments while nothing happens', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    await withEndpoint({ reply: 'ok', beforeStep: () => gate, http: { keepAliveMs: 20 } }, async ({ url }) => {
      const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], stream: true });
      const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
      assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      assert.equal(response.headers.get('cache-control'), 'no-cache');
      let text = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.split(': keep-alive\n').length > 3) open();
      }
      const events = text.split('\n\n');
      assert.match(events[0]!, /^data: \{.*"delta":\{"role":"assistant","content":"","refusal":null\}/);
      for (const event of events.slice(1, 4)) {
        assert.match(event, /^: keep-alive\ndata: \{.*"delta":\{"content":""\},"logprobs":null,"finish_reason":null\}/);
      }
      assert.deepEqual(events.slice(-2), ['data: [DONE]', '']);
    });
  });

  // Few tokens fill every buffer between the model and the client, also where the system grows them to many megabytes.
  const tokenLength = 128 * 1024;
  const codec: TextCodec = {
    ...byteCodec,
    isEndOfGeneration: () => false,
    createDetokenizer: () => ({ push: () => '#'.repeat(tokenLength), flush: () => '' }),
  };
  const flood = (max_tokens: number) => ({ prompt: 'x', stream: true, max_tokens });

  it('wait for slow readers instead of buffering without end, and lose nothing', async () => {
    const tokens = 800;
    await withEndpoint({ codec }, async ({ port, model }) => {
      const socket = openRequest(port, flood(tokens));
      let received = 0;
      let tail = '';
      socket.on('data', (chunk: string) => {
        for (let at = 0; at < chunk.length; at++) if (chunk.charCodeAt(at) === 0x23) received++;
        tail = (tail + chunk).slice(-100);
      });
      await eventually(() => received > 0, 'the stream begins');
      socket.pause();
      let steps = -1;
      while (steps !== model.steps) {
        steps = model.steps;
        await pause(200);
      }
      assert.ok(steps < tokens, `the model was not held back: ${steps} steps`);
      socket.resume();
      await eventually(() => tail.includes('data: [DONE]'), 'the stream ends');
      assert.equal(received, tokens * tokenLength);
      socket.destroy();
    });
  });

  it('do not keep others waiting, and are given up when their readers stand still', async () => {
    await withEndpoint({ codec, http: { stalledClientMs: 100 } }, async ({ url, port, service, model }) => {
      const socket = openRequest(port, flood(4000));
      socket.pause();
      await eventually(() => service.load.running === 1, 'the flood runs');
      const other = await rawRequest(url + PATH, { body: '{"prompt":"a","max_tokens":1}' });
      assert.equal(other.status, 200);
      await eventually(() => service.load.running === 0, 'the flood is given up');
      assert.ok(model.steps < 4000);
      assert.equal(service.statistics.kv.sequences, 0);
      let tail = '';
      socket.on('data', (chunk: string) => {
        tail = (tail + chunk).slice(-1000);
      });
      socket.resume();
      await eventually(() => tail.endsWith('\r\n0\r\n\r\n'), 'the stream ends');
      assert.match(tail, /data: \{"error":\{"message":"the client has read nothing for 100 ms/);
      assert.doesNotMatch(tail, /\[DONE\]/);
      socket.destroy();
    });
  });
});
