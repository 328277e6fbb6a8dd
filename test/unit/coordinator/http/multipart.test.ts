import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readForm } from '../../../../coordinator/http/multipart.ts';

const CONTENT = '{"a": 1}\r\n--edg\r\n--edg-like\n\r';
const FORM = [
  'ignored\r\n--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
  '--edge\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=file; filename="a \\"b\\" %22c%22.jsonl"\r\n\r\n',
  `${CONTENT}\r\n--edge--\r\nafter`,
].join('');

/** Pieces of so many bytes. */
async function* inPieces(text: string, length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

test('a form is the same however it is cut', async () => {
  for (let length = 1; length <= FORM.length; length++) {
    const parts: [string, string | null, string][] = [];
    for await (const { name, filename, content } of readForm(
      'multipart/form-data; boundary=edge',
      inPieces(FORM, length),
    )) {
      let text = '';
      for await (const piece of content) text += piece.toString('latin1');
      parts.push([name, filename, text]);
    }
    assert.deepEqual(parts, [
      ['purpose', null, 'batch'],
      ['file', 'a "b" "c".jsonl', CONTENT],
    ]);
  }
});

test('content that nobody reads is passed over', async () => {
  const names: string[] = [];
  for await (const { name } of readForm('multipart/form-data; charset=utf-8; boundary="edge"', inPieces(FORM, 7))) {
    names.push(name);
  }
  assert.deepEqual(names, ['purpose', 'file']);
});

test('a client that goes away is no failure of the server', async () => {
  async function* torn(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(FORM.slice(0, 200));
    throw new Error('aborted');
  }
  await assert.rejects(
    async () => {
      for await (const { content } of readForm('multipart/form-data; boundary=edge', torn())) {
        for await (const _ of content) {
          // Only how it ends counts.
        }
      }
    },
    { code: 'cancelled' },
  );
});

test('a parameter is none that another one quotes', async () => {
  const form = '--edge\r\nContent-Disposition: form-data; filename="a; name=b"; name="file"\r\n\r\nx\r\n--edge--';
  const parts: (string | null)[] = [];
  for await (const { name, filename } of readForm('multipart/form-data; boundary=edge', inPieces(form, 50))) {
    parts.push(name, filename);
  }
  assert.deepEqual(parts, ['file', 'a; name=b']);
});

test('a body that is refused is taken to its end, so that the next request of its connection can be read', async () => {
  for (const contentType of ['multipart/form-data; boundary=other', 'application/json']) {
    const body = inPieces('x'.repeat(100_000), 1000);
    await assert.rejects(readForm(contentType, body).next(), { code: 'invalid_request' });
    assert.deepEqual(await body.next(), { done: true, value: undefined });
  }
  const whole = inPieces(FORM, 10);
  for await (const { name } of readForm('multipart/form-data; boundary=edge', whole)) if (name === 'purpose') break;
  assert.deepEqual(await whole.next(), { done: true, value: undefined });
});
