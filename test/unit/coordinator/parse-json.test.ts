import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequestLine } from '../../../coordinator/batches/request-line.ts';
import { MOST_NESTED, parseJson } from '../../../coordinator/parse-json.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const nested = (depth: number, [open, close] = ['[', ']']): string => open.repeat(depth) + close.repeat(depth);

test('JSON is read as deep as what walks through it can go', () => {
  assert.deepEqual(parseJson('{"a":["[[\\"[", {}]}'), { a: ['[["[', {}] });
  assert.doesNotThrow(() => parseJson(nested(MOST_NESTED)));
  assert.doesNotThrow(() => parseJson(`["${nested(5000)}\\"",${'[],'.repeat(5000)}1]`));
  assert.throws(() => parseJson(nested(MOST_NESTED + 1)), { code: 'invalid_request' });
  assert.throws(() => parseJson('['), SyntaxError);
});

test('a deeply nested body is refused, whichever field and dialect', async () => {
  const deep = `{"a":${nested(20_000)}}`;
  await withEndpoint({}, async ({ url }) => {
    for (const path of ['/v1/chat/completions', '/v1/messages', '/api/chat', '/tokenize']) {
      for (const field of ['suffix', 'format', 'tools', 'json_schema', 'messages']) {
        const body = `{"messages":[{"role":"user","content":"a"}],"${field}":${deep}}`;
        const { status, text } = await rawRequest(url + path, { method: 'POST', body });
        assert.equal(status, 400, `${path} ${field}: ${text}`);
      }
    }
  });
  const line = `{"custom_id":"a","method":"POST","url":"/x","body":${deep}}`;
  assert.equal((parseRequestLine(line, '/x') as { code?: string }).code, 'invalid_json_line');
});
