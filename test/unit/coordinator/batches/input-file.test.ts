import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LONGEST_REQUEST, MOST_REQUESTS, openInput, readInput } from '../../../../coordinator/batches/input-file.ts';
import { type Line, linesOf } from '../../../../coordinator/batches/lines.ts';
import { temporaryFolder } from '../../../fixtures/temporary-folder.ts';

const CHAT = '/v1/chat/completions';
const request = (custom_id: string, more: object = {}): string =>
  JSON.stringify({ custom_id, method: 'POST', url: CHAT, body: { messages: [] }, ...more });

function inputFile(t: TestContext, content: string | Uint8Array): string {
  const file = join(temporaryFolder(t), 'input.jsonl');
  writeFileSync(file, content);
  return file;
}

async function collect(lines: AsyncIterable<Line>): Promise<Line[]> {
  const all: Line[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

test('lines of any length, over the borders of what is read at a time', async (t) => {
  const texts = ['', 'é'.repeat(40_000), 'x', 'y'.repeat(200_000), '', 'last'];
  const lines = await collect(linesOf(inputFile(t, texts.join('\n')), 100_000));
  assert.deepEqual(
    lines.map(({ text }) => text),
    texts.map((text) => (text.startsWith('y') ? null : text)),
  );
  assert.deepEqual(
    lines.map(({ bytes }) => bytes),
    texts.map((text) => Buffer.byteLength(text)),
  );
  let offset = 0;
  for (const line of lines) {
    assert.equal(line.offset, offset);
    assert.equal(line.isEnded, line.number < texts.length);
    offset += line.bytes + 1;
  }
  assert.deepEqual(await collect(linesOf(inputFile(t, ''), 10)), []);
  assert.equal((await collect(linesOf(inputFile(t, 'a\n'), 10))).length, 1);
});

test('requests are found where they are, past empty lines, a byte order mark and ends of lines of Windows', async (t) => {
  const file = inputFile(t, `\ufeff${request('a')}\r\n\r\n  \n${request('é', { body: { n: 2 } })}\n${request('c')}`);
  const { requests, faults } = await readInput(file, CHAT);
  assert.deepEqual(faults, []);
  assert.deepEqual(
    requests.map(({ customId }) => customId),
    ['a', 'é', 'c'],
  );
  const input = await openInput(file, CHAT);
  t.after(() => input.close());
  assert.deepEqual(await input.read(requests[1]!), { customId: 'é', url: CHAT, body: { n: 2 } });
  assert.equal((await input.read(requests[0]!)).customId, 'a');
  writeFileSync(file, request('b'));
  await assert.rejects(input.read(requests[1]!), { code: 'store_failed' });
});

test('each fault is told with its line', async (t) => {
  const lines: [line: string, code: string | null, param: string | null][] = [
    [request('good'), null, null],
    ['{"custom_id": ', 'invalid_json_line', null],
    ['[]', 'invalid_json_line', null],
    ['null', 'invalid_json_line', null],
    [request('x', { custom_id: undefined }), 'missing_required_parameter', 'custom_id'],
    [request('x', { custom_id: 7 }), 'invalid_custom_id', 'custom_id'],
    [request(''), 'invalid_custom_id', 'custom_id'],
    [request('x'.repeat(513)), 'invalid_custom_id', 'custom_id'],
    [request('good'), 'duplicate_custom_id', 'custom_id'],
    [request('get', { method: 'GET' }), 'invalid_method', 'method'],
    [request('url', { url: '/v1/completions' }), 'invalid_url', 'url'],
    [request('up', { url: `${CHAT}/../x` }), 'invalid_url', 'url'],
    [request('body', { body: [] }), 'invalid_body', 'body'],
    [request('none', { body: undefined }), 'invalid_body', 'body'],
    [request('stream', { body: { stream: true } }), 'unsupported_parameter', 'body.stream'],
    [request('long', { body: { prompt: 'x'.repeat(LONGEST_REQUEST) } }), 'request_too_large', null],
    [request('__proto__'), null, null],
  ];
  const { requests, faults } = await readInput(inputFile(t, lines.map(([line]) => line).join('\n')), CHAT);
  const expected = lines.flatMap(([, code, param], i) => (code === null ? [] : [{ code, param, line: i + 1 }]));
  assert.deepEqual(
    faults.map(({ code, param, line }) => ({ code, param, line })),
    expected,
  );
  assert.match(faults.find(({ code }) => code === 'duplicate_custom_id')!.message, /line 1 already/);
  assert.equal(requests.length, 2);
});

test('nothing, too much, and what is no such file at all', async (t) => {
  assert.equal((await readInput(inputFile(t, '\n\n'), CHAT)).faults[0]!.code, 'empty_file');
  const noise = await readInput(inputFile(t, Buffer.alloc(2 ** 20, 'x\n')), CHAT);
  assert.equal(noise.faults.length, 100);
  const many = Array.from({ length: MOST_REQUESTS + 2 }, (_, i) => request(`${i}`)).join('\n');
  const { faults, requests } = await readInput(inputFile(t, many), CHAT);
  assert.deepEqual(
    faults.map(({ code, line }) => [code, line]),
    [['too_many_requests', MOST_REQUESTS + 1]],
  );
  assert.equal(requests.length, MOST_REQUESTS);
});
