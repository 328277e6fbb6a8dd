import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutputFormat } from '../../../../../../coordinator/constraint/output-format.ts';
import { parseChatRequest } from '../../../../../../coordinator/http/dialects/openai/chat-request.ts';
import { parseCompletionRequest } from '../../../../../../coordinator/http/dialects/openai/completion-request.ts';
import { StarlingError } from '../../../../../../daemon/errors.ts';

const origin = { randomSeed: () => 7, userOf: () => 'somebody' };
const ASK = [
  (fields: object) => parseChatRequest({ messages: [{ role: 'user', content: 'Hi' }], ...fields }, origin),
  (fields: object) => parseCompletionRequest({ prompt: 'Hi', ...fields }, origin),
];
const SCHEMA = { type: 'object', properties: { a: { type: 'string' } } };
const bySchema: OutputFormat = { kind: 'json-schema', schema: SCHEMA };
const gbnf: OutputFormat = { kind: 'gbnf', grammar: 'root ::= "a"' };
const regex: OutputFormat = { kind: 'regex', pattern: 'a+' };
const choice: OutputFormat = { kind: 'choice', options: ['a', 'b'] };
const anyObject: OutputFormat = { kind: 'json-object' };

test('what an answer must look like is said in the words of several servers', () => {
  const json_schema = { name: 'answer', schema: SCHEMA };
  const said: readonly [fields: object, format: OutputFormat][] = [
    [{ response_format: { type: 'json_schema', json_schema } }, bySchema],
    [{ response_format: { type: 'json_schema', json_schema: { ...json_schema, strict: true } } }, bySchema],
    [{ response_format: { type: 'json_schema', schema: SCHEMA } }, bySchema],
    [{ response_format: { type: 'json_object', schema: SCHEMA } }, bySchema],
    [{ response_format: { type: 'json_object' } }, anyObject],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'answer' } } }, anyObject],
    [{ json_schema: SCHEMA, response_format: { type: 'text' } }, bySchema],
    [{ json_schema: {} }, { kind: 'json-schema', schema: {} }],
    [{ guided_json: SCHEMA }, bySchema],
    [{ guided_json: JSON.stringify(SCHEMA) }, bySchema],
    [{ grammar: gbnf.grammar }, gbnf],
    [{ grammar_string: gbnf.grammar }, gbnf],
    [{ guided_grammar: gbnf.grammar }, gbnf],
    [{ guided_regex: 'a+' }, regex],
    [{ guided_choice: ['a', 'b'] }, choice],
    [{ structured_outputs: { json: SCHEMA } }, bySchema],
    [{ structured_outputs: { json_object: true, disable_any_whitespace: true } }, anyObject],
    [{ structured_outputs: { regex: 'a+', json: null } }, regex],
    [{ structured_outputs: { choice: ['a', 'b'] } }, choice],
    [{ structured_outputs: { grammar: gbnf.grammar } }, gbnf],
  ];
  for (const ask of ASK) {
    for (const [fields, format] of said) assert.deepEqual(ask(fields).settings.format, format, JSON.stringify(fields));
  }
});

test('nothing is asked for by what has nothing in it', () => {
  const empty = [false, '', [], {}, null];
  const fields = ['response_format', 'grammar', 'grammar_string', 'guided_grammar', 'guided_regex', 'guided_choice'];
  for (const ask of ASK) {
    for (const name of [...fields, 'structured_outputs']) {
      for (const value of empty) assert.equal('format' in ask({ [name]: value }).settings, false, name);
    }
    for (const name of ['json_schema', 'guided_json']) {
      for (const value of [false, '', null]) assert.equal('format' in ask({ [name]: value }).settings, false, name);
    }
    for (const response_format of [{ type: 'text' }, undefined])
      assert.equal('format' in ask({ response_format }).settings, false);
  }
});

test('what cannot be meant is refused by name', () => {
  const wrong: readonly [fields: object, param: string, message: RegExp][] = [
    [{ response_format: { type: 'xml' } }, 'response_format.type', /is not valid/],
    [
      { response_format: { type: 'json_schema', json_schema: { schema: 7 } } },
      'response_format.json_schema.schema',
      /object/,
    ],
    [{ guided_json: 'no JSON' }, 'guided_json', /object/],
    [{ guided_json: '[1]' }, 'guided_json', /object/],
    [{ guided_choice: ['a', 5] }, 'guided_choice[1]', /string/],
    [{ grammar: 5 }, 'grammar', /string/],
    [{ structured_outputs: { structural_tag: {} } }, 'structured_outputs', /structural_tag/],
    [{ grammar: 'root ::= "a"', guided_regex: 'a' }, 'guided_regex', /'grammar' and 'guided_regex' both say/],
    [{ structured_outputs: { json: {}, regex: 'a' } }, 'structured_outputs.regex', /give one of them/],
  ];
  for (const ask of ASK) {
    for (const [fields, param, message] of wrong) {
      const isTold = (error: unknown): boolean =>
        error instanceof StarlingError &&
        error.code === 'invalid_request' &&
        error.param === param &&
        message.test(error.message);
      assert.throws(() => ask(fields), isTold, JSON.stringify(fields));
    }
  }
});
