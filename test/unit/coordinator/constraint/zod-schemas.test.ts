import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { type Json, spellJson } from '../../../../coordinator/constraint/json-grammar.ts';
import { Random } from '../../../fixtures/random.ts';
import { constraintOf, satisfies, writeConstrained } from '../../../fixtures/write-constrained.ts';

/** What the AI SDK and LangChain send: zod's schemas, in the one's draft and in the other's. */
const DRAFTS = ['draft-7', 'draft-2020-12'] as const;

/** Schemas, with a value that each allows. */
const SCHEMAS: readonly (readonly [schema: z.ZodType, value: Json])[] = [
  [z.int(), -12],
  [z.number().int().positive(), 7],
  [z.number().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER), 2.5],
  [z.object({ age: z.int(), name: z.string().nullable() }), { age: 7, name: null }],
  [z.tuple([z.string(), z.boolean()]), ['a', true]],
  [z.tuple([z.string()]).rest(z.int()), ['a', 1, 2]],
  [z.tuple([]), []],
  [z.record(z.enum(['a', 'b']), z.int()), { a: 1, b: 2 }],
  [
    z.discriminatedUnion('is', [z.object({ is: z.literal('a') }), z.object({ is: z.literal('b'), n: z.int() })]),
    { is: 'b', n: 3 },
  ],
  [z.string().startsWith('ab'), 'abc'],
  [z.string().startsWith('a').endsWith('b'), 'acb'],
  [z.string().lowercase(), 'ab'],
  [z.ulid(), '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
  [z.cidrv4(), '10.0.0.0/8'],
];

test('A13: schemas as zod tells them are kept to', () => {
  const random = new Random(14);
  for (const target of DRAFTS) {
    for (const [schema, value] of SCHEMAS) {
      const told = z.toJSONSchema(schema, { target }) as Json;
      const constraint = constraintOf({ kind: 'json-schema', schema: told });
      assert.ok(satisfies(constraint, spellJson(value)), `${JSON.stringify(told)} has ${JSON.stringify(value)}`);
      for (let i = 0; i < 3; i++) {
        const text = writeConstrained(constraint, random, 120);
        if (text !== null) assert.ok(schema.safeParse(JSON.parse(text)).success, `${JSON.stringify(told)}: ${text}`);
      }
    }
  }
});

test('the elements of a tuple in draft 7 are told apart, and those after it', () => {
  const pair = { type: 'array', items: [{ type: 'string' }, { type: 'integer' }], additionalItems: { type: 'null' } };
  const satisfiesPair = (text: string): boolean => satisfies(constraintOf({ kind: 'json-schema', schema: pair }), text);
  for (const text of ['[]', '["a", 1]', '["a", 1, null, null]']) assert.ok(satisfiesPair(text), text);
  for (const text of ['[1]', '["a", "b"]', '["a", 1, 2]']) assert.ok(!satisfiesPair(text), text);
  // Where `items` is for all elements, there are no others.
  const list = { type: 'array', items: { type: 'string' }, additionalItems: false };
  assert.ok(satisfies(constraintOf({ kind: 'json-schema', schema: list }), '["a", "b"]'));
});
