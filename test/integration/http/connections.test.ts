import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { KEEP_ALIVE_MS } from '../../../coordinator/http/connections.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const COMPLETIONS = '/v1/completions';
const BODY = JSON.stringify({ prompt: 'Hi', max_tokens: 1 });

/** Sends bytes as they are. @returns all that came until the other side closed */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    socket.once('close', () => resolve(answer)).once('error', reject);
  });
}

const opened = (port: number): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => {});
  });

function assertError(answer: string, status: number, code: string): void {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), answer);
  assert.match(head, /content-type: application\/json/i);
  const { error } = JSON.parse(body) as { error: { code: string; message: string; type: string } };
  assert.equal(error.code, code);
  assert.ok(error.message.length > 10 && error.type !== undefined);
}

test('A7: one connection too many is told so; idle ones make room; none is dropped without an answer', async () => {
  await withEndpoint({ http: { maxConnections: 3 } }, async ({ url, port }) => {
    const busy = await Promise.all([1, 2, 3].map(() => opened(port)));
    for (const socket of busy)
      socket.write('POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n');
    await sleep(50);
    const answers = await Promise.all([1, 2].map(() => rawRequest(`${url}/v1/models`)));
    for (const { status, headers, text } of answers) {
      assert.equal(status, 503, text);
      assert.equal(headers['retry-after'], '2');
      assert.equal((JSON.parse(text) as { error: { code: string } }).error.code, 'too_many_connections');
    }
    for (const socket of busy) socket.destroy();
    await sleep(50);

    const agent = new Agent({ keepAlive: true, maxSockets: 3 });
    const ask = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const sent = request(`${url}/v1/models`, { agent }, (response) =>
          response.resume().once('end', () => resolve(response.statusCode)),
        );
        sent.once('error', reject).end();
      });
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [200, 200, 200]);
    assert.equal((await rawRequest(`${url}/v1/models`)).status, 200, 'three idle connections are no crowd');
    agent.destroy();
  });
});

test('A8: an idle connection is kept longer than clients keep theirs', async () => {
  assert.ok(KEEP_ALIVE_MS > 90_000);
  await withEndpoint({}, async ({ port }) => {
    const socket = await opened(port);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    socket.write('GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n');
    while (!text.includes('}')) await sleep(5);
    assert.match(text, new RegExp(`keep-alive: timeout=${KEEP_ALIVE_MS / 1000}`, 'i'));
    socket.destroy();
  });
});

test('A10: what no route sees is answered in the shape of all errors', async () => {
  await withEndpoint({}, async ({ port }) => {
    assertError(await exchange(port, 'GARBAGE\r\n\r\n'), 400, 'invalid_request');
    assertError(await exchange(port, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), 431, 'invalid_request');
    assertError(await exchange(port, 'GET / HTTP/1.1\r\nBad Header: x\r\n\r\n'), 400, 'invalid_request');
    assertError(await exchange(port, 'CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n'), 405, 'invalid_request');
    const odd =
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\nExpect: magic\r\n\r\n{}';
    assert.match(await exchange(port, odd), /^HTTP\/1\.1 417 [\s\S]*"code":"invalid_request"/);
    const kind = `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\nExpect: 100-continue\r\n\r\n${BODY}`;
    assert.match(await exchange(port, kind), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  });
});

test('A10: packed bodies are unpacked within bounds, or refused as such', async () => {
  await withEndpoint({}, async ({ url }) => {
    const send = async (encoding: string, body: Buffer): Promise<[number, string | undefined]> => {
      const { status, text } = await rawRequest(url + COMPLETIONS, {
        method: 'POST',
        headers: { 'content-encoding': encoding },
        body,
      });
      return [status, (JSON.parse(text) as { error?: { code: string } }).error?.code];
    };
    const plain = Buffer.from(BODY);
    assert.deepEqual(await send('gzip', gzipSync(plain)), [200, undefined]);
    assert.deepEqual(await send('X-GZIP', gzipSync(plain)), [200, undefined]);
    assert.deepEqual(await send('deflate', deflateSync(plain)), [200, undefined]);
    assert.deepEqual(await send('br', brotliCompressSync(plain)), [200, undefined]);
    assert.deepEqual(await send('identity', plain), [200, undefined]);
    assert.deepEqual(await send('zstd', plain), [415, 'unsupported_encoding']);
    assert.deepEqual(await send('gzip, br', plain), [415, 'unsupported_encoding']);
    assert.deepEqual(await send('gzip', plain), [400, 'invalid_json']);
    assert.deepEqual(await send('br', plain), [400, 'invalid_json']);
    assert.deepEqual(await send('gzip', gzipSync(plain).subarray(0, 20)), [400, 'invalid_json']);
    assert.deepEqual(await send('gzip', gzipSync(Buffer.alloc(300e6, 0x20))), [413, 'request_too_large']);
    assert.deepEqual(await send('identity', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), plain])), [200, undefined]);
  });
});
