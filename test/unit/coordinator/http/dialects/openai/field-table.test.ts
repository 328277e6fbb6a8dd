import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseChatRequest } from '../../../../../../coordinator/http/dialects/openai/chat-request.ts';
import { unknownFields } from '../../../../../../coordinator/http/dialects/openai/check-fields.ts';
import { parseCompletionRequest } from '../../../../../../coordinator/http/dialects/openai/completion-request.ts';
import { EMBEDDING_FIELDS } from '../../../../../../coordinator/http/dialects/openai/embedding-fields.ts';
import { parseEmbeddingRequest } from '../../../../../../coordinator/http/dialects/openai/embedding-request.ts';
import {
  type Field,
  type FieldRoute,
  NOTHING,
  TEXT_ROUTES,
} from '../../../../../../coordinator/http/dialects/openai/field.ts';
import { FIELDS } from '../../../../../../coordinator/http/dialects/openai/field-table.ts';
import { RESPONSE_FIELDS } from '../../../../../../coordinator/http/dialects/openai/responses/fields.ts';
import { parseResponseRequest } from '../../../../../../coordinator/http/dialects/openai/responses/request.ts';
import { UnknownNames } from '../../../../../../coordinator/http/unknown-names.ts';
import { StarlingError } from '../../../../../../daemon/errors.ts';
import { packageRoot } from '../../../../../../daemon/paths.ts';
import { ITEM_SOURCE } from '../../../../../fixtures/item-source.ts';
import { OpenApiSchemas } from '../../../../../fixtures/openapi-schema.ts';
import { sharedData } from '../../../../../fixtures/shared-data.ts';

const origin = { randomSeed: () => 7, userOf: (user: string | null) => user ?? '' };
const BODY = {
  chat: { messages: [{ role: 'user', content: 'Hi' }] },
  completions: { prompt: 'Hi' },
  embeddings: { input: 'Hi' },
  responses: { input: 'Hi' },
};
const PARSERS = {
  chat: parseChatRequest,
  completions: parseCompletionRequest,
  embeddings: parseEmbeddingRequest,
  responses: (body: Readonly<Record<string, unknown>>, from: typeof origin) =>
    parseResponseRequest(body, from, ITEM_SOURCE),
};
const ALL = [...FIELDS, ...EMBEDDING_FIELDS, ...RESPONSE_FIELDS];
/** Routes that have a table of their own. */
const OWN_TABLES: readonly FieldRoute[] = ['embeddings', 'responses'];

const parse = (route: FieldRoute, fields: object): unknown => PARSERS[route]({ ...BODY[route], ...fields }, origin);

const chat = (fields: object) => parseChatRequest({ ...BODY.chat, ...fields }, origin);

function assertRefused(route: FieldRoute, fields: object, param: string): void {
  const isRefusal = (error: unknown): boolean =>
    error instanceof StarlingError &&
    error.code === 'unsupported_parameter' &&
    error.param === param &&
    error.message.includes(`'${param}'`);
  assert.throws(() => parse(route, fields), isRefusal, `${route}: ${JSON.stringify(fields)}`);
}

/** Values of all kinds, of which every field that is refused has some that ask for something. */
const DEMANDS: readonly unknown[] = [true, 0.5, 7, -2, 'x', ['x'], [{ a: 1 }], { type: 'x' }, { a: { b: 1 } }];

describe('the table of fields', () => {
  test('A3, M8: a field that changes the answer is refused by name, unless it asks for nothing', () => {
    for (const { name, routes, treatment } of ALL) {
      if (treatment.kind !== 'refused') continue;
      const demands = [...DEMANDS, false, 0, '', [], {}].filter((value) => !treatment.neutral.holds(value, {}));
      assert.ok(demands.length > 0, name);
      for (const route of routes) {
        for (const value of demands) assertRefused(route, { [name]: value }, name);
        for (const value of [...treatment.neutral.examples, null]) parse(route, { [name]: value });
      }
    }
  });

  test('A3, M8: what is passed over is passed over whatever it is', () => {
    for (const { name, routes, treatment } of ALL) {
      if (treatment.kind !== 'ignored') continue;
      for (const route of routes) for (const value of [...DEMANDS, null]) parse(route, { [name]: value });
    }
  });

  test('A3, M8: what is done is done on the routes that it is of, and known on both', () => {
    for (const { name, routes, treatment } of ALL) {
      for (const route of OWN_TABLES.includes(routes[0]!) ? routes : TEXT_ROUTES)
        assert.deepEqual(unknownFields(route, { [name]: 1 }), [], `${name} of ${route}`);
      if (treatment.kind !== 'done' || ['messages', 'prompt', 'input'].includes(name)) continue;
      for (const route of routes) {
        parse(route, { [name]: null });
        // A schema that looked at nothing would take what no field is.
        assert.throws(() => parse(route, { [name]: [[[]]] }), StarlingError, `${name} of ${route}`);
      }
    }
    const names = ALL.flatMap(({ name, routes }) => routes.map((route) => `${route} ${name}`));
    assert.equal(new Set(names).size, names.length, 'no field has two entries of one route');
  });

  test('A3, M8: advice names fields that are done on the route that is asked, or on another that it names', () => {
    const isDone = (name: string, route: FieldRoute): boolean =>
      ALL.some((field) => field.name === name && field.routes.includes(route) && field.treatment.kind === 'done');
    for (const { name, routes, treatment, about } of ALL) {
      if (treatment.kind !== 'refused') continue;
      const [, elsewhere] = /POST \/v1\/(chat|completions)/.exec(about) ?? [];
      for (const route of routes) {
        assert.ok(elsewhere !== route || /"[a-z]+" of/.test(about), `${name} of ${route}: ${about}`);
        for (const [, advised] of about.matchAll(/"([a-z_]+)"/g)) {
          const isKnown =
            isDone(advised!, route) || (elsewhere !== undefined && isDone(advised!, elsewhere as FieldRoute));
          assert.ok(isKnown || about.includes(`["${advised}"]`), `${name} of ${route}: ${about}`);
        }
      }
    }
  });

  test('A3, M8: what public reports name is refused, on both routes', () => {
    const demands: Readonly<Record<string, unknown>> = {
      grammar_lazy: true,
      guided_whitespace_pattern: ' *',
      add_generation_prompt: false,
      typical_p: 0.9,
      mirostat: 2,
      dry_multiplier: 0.8,
      options: { num_predict: 5 },
      format: 'json',
    };
    for (const route of TEXT_ROUTES) {
      for (const [name, value] of Object.entries(demands)) assertRefused(route, { [name]: value }, name);
    }
    assertRefused('completions', { continue_final_message: true }, 'continue_final_message');
  });

  test('A3: demands within a message are refused by name', () => {
    const demands = { prefix: true, partial: true, images: ['aGk='], audio: { id: 'a' }, function_call: { name: 'f' } };
    for (const [name, value] of Object.entries(demands)) {
      const messages = [...BODY.chat.messages, { role: 'assistant', content: 'Yes', [name]: value }];
      assertRefused('chat', { messages }, `messages[1].${name}`);
      chat({ messages: [{ ...messages[1], [name]: null }] });
    }
    chat({ messages: [{ role: 'assistant', content: 'a', images: [], prefix: false }] });
  });

  const openapi = sharedData('openapi/openapi.yaml');
  test('has every field of OpenAI’s API description', { skip: openapi === null && 'no ../shared/data' }, () => {
    const schemas = new OpenApiSchemas(openapi!);
    const described = {
      chat: ['CreateChatCompletionRequest', 'CreateModelResponseProperties', 'ModelResponseProperties'],
      completions: ['CreateCompletionRequest'],
      embeddings: ['CreateEmbeddingRequest'],
      responses: ['CreateResponse', 'CreateModelResponseProperties', 'ModelResponseProperties', 'ResponseProperties'],
    };
    for (const route of [...TEXT_ROUTES, 'embeddings', 'responses'] as const) {
      const names = described[route].flatMap((schema) => schemas.properties(schema));
      assert.ok(names.length > (route === 'embeddings' ? 4 : 15), names.join());
      assert.deepEqual(unknownFields(route, Object.fromEntries(names.map((name) => [name, 1]))), []);
    }
  });

  test('is what docs/API.md shows', () => {
    const text = readFileSync(join(packageRoot(), 'docs/API.md'), 'utf8');
    const documented = text.split('\n').filter((line) => /^\| `/.test(line));
    assert.deepEqual(documented, [FIELDS, RESPONSE_FIELDS, EMBEDDING_FIELDS].flatMap(documentedRows));
  });
});

/** The rows of docs/API.md: a row for the neighbours that are treated alike. */
function documentedRows(fields: readonly Field[]): string[] {
  const rows: { names: string[]; rest: string }[] = [];
  for (const { name, routes, treatment, about } of fields) {
    const of = routes.length === TEXT_ROUTES.length ? 'both' : routes.join();
    const neutral = treatment.kind === 'refused' ? treatment.neutral : NOTHING;
    const kind = neutral === NOTHING ? treatment.kind : `refused but for ${neutral.words}`;
    const rest = `| ${of} | ${kind} | ${about} |`;
    const last = rows.at(-1);
    if (last?.rest === rest) last.names.push(name);
    else rows.push({ names: [name], rest });
  }
  return rows.map(({ names, rest }) => `| ${names.map((name) => `\`${name}\``).join(' ')} ${rest}`);
}

describe('fields of other servers that are done', () => {
  test('M8: repetition penalties, each with the reach of the server that knows it', () => {
    const of = (fields: object) => chat(fields).settings.sampling.repetition;
    assert.equal(of({}), null);
    assert.equal(of({ repeat_penalty: 1, repetition_penalty: 1.0, repeat_last_n: 64 }), null);
    assert.deepEqual(of({ repetition_penalty: 1.2 }), { factor: 1.2, reach: Number.POSITIVE_INFINITY });
    assert.deepEqual(of({ repeat_penalty: 1.1 }), { factor: 1.1, reach: 64 });
    assert.deepEqual(of({ repeat_penalty: 1.1, repeat_last_n: -1 }), { factor: 1.1, reach: Number.POSITIVE_INFINITY });
    assert.deepEqual(of({ repeat_penalty: 1.1, repeat_last_n: 0 }), { factor: 1.1, reach: 0 });
  });

  test('M8: when and where a text may end', () => {
    const { ends } = chat({ ignore_eos: true, min_tokens: 5, stop_token_ids: [3, 4] }).settings;
    assert.deepEqual(ends, { ignored: true, notBefore: 5, tokens: new Set([3, 4]) });
    const neutral = chat({ ignore_eos: false, min_tokens: 0, stop_token_ids: [] }).settings;
    assert.deepEqual(neutral.ends, chat({}).settings.ends);
  });

  test('A3: variables go to the template, but not what the server itself tells it', () => {
    assert.deepEqual(chat({ chat_template_kwargs: [] }).conversation.variables, {});
    const fields = { chat_template_kwargs: { enable_thinking: false, a: [1] }, reasoning_effort: 'low' };
    assert.deepEqual(chat(fields).conversation.variables, { reasoning_effort: 'low', enable_thinking: false, a: [1] });
    for (const name of ['messages', 'tools', 'add_generation_prompt', 'bos_token', 'eos_token']) {
      assertRefused('chat', { chat_template_kwargs: { [name]: 'x' } }, `chat_template_kwargs.${name}`);
    }
  });
});

test('A3: a field that nobody knows is told once, and names without end are not', () => {
  const told: string[] = [];
  const log = { warn: ({ field }: { field: string }) => told.push(field) };
  const unknown = new UnknownNames(log as never);
  unknown.tell(unknownFields('chat', { messages: [], frobnicate: 1 }));
  unknown.tell(unknownFields('completions', { prompt: '', frobnicate: 1, __proto__: 2, constructor: 3 }));
  assert.deepEqual(told, ['frobnicate', 'constructor']);
  unknown.tell(
    unknownFields('chat', Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i}${'y'.repeat(i)}`, 1]))),
  );
  assert.equal(told.length, 100);
  assert.ok(told.every((name) => name.length <= 64));
});
