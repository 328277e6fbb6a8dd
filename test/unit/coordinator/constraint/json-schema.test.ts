import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Constraint } from '../../../../coordinator/constraint/constraint.ts';
import type { Json } from '../../../../coordinator/constraint/json-grammar.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { Random } from '../../../fixtures/random.ts';
import { suiteSchemas, validator } from '../../../fixtures/schema-suite.ts';
import { sharedData } from '../../../fixtures/shared-data.ts';
import { constraintOf, satisfies, writeConstrained } from '../../../fixtures/write-constrained.ts';

const suite = sharedData('jsonschema/draft2020-12');
const MOST_TOKENS = 120;

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 130 },
    mail: { anyOf: [{ type: 'string', pattern: '^[a-z]+@[a-z]+\\.org$' }, { type: 'null' }] },
    tags: { type: 'array', items: { enum: ['a "b"', 'c'] }, minItems: 1, maxItems: 3 },
    friend: { $ref: '#' },
  },
  required: ['name', 'age', 'tags'],
  additionalProperties: false,
};

const SCHEMAS: readonly Json[] = [
  PERSON,
  { type: 'number', minimum: -1.5, exclusiveMaximum: 2.25 },
  { type: 'number', exclusiveMinimum: 0, maximum: 0.07 },
  { type: 'number', exclusiveMinimum: -100.01, exclusiveMaximum: -99 },
  { type: 'number', minimum: 1e-7, maximum: 1e-5 },
  { type: 'integer', minimum: -250, maximum: -13 },
  { type: 'integer', exclusiveMinimum: 98, multipleOf: 7, maximum: 1234 },
  { minimum: 5, maxLength: 3, maxItems: 2, maxProperties: 1 },
  { type: 'string', pattern: '^\\w+$', minLength: 3, maxLength: 5 },
  { type: 'string', pattern: '[aeiou]"\\\\', maxLength: 9 },
  { allOf: [{ pattern: '^a' }, { pattern: 'b$' }, { type: ['string', 'integer'] }] },
  { patternProperties: { '^n': { type: 'number' }, x$: { maximum: 10 } }, additionalProperties: { type: 'boolean' } },
  {
    properties: { a: { type: 'integer' } },
    patternProperties: { a: { minimum: 3 } },
    minProperties: 1,
    maxProperties: 3,
  },
  { propertyNames: { maxLength: 3, pattern: '^[ab]' }, type: 'object', minProperties: 1 },
  {
    oneOf: [
      { properties: { kind: { const: 'a' }, x: { type: 'integer' } }, required: ['kind'], type: 'object' },
      { properties: { kind: { const: 'b' }, y: { type: 'string' } }, required: ['kind', 'y'], type: 'object' },
    ],
  },
  { oneOf: [{ type: 'integer', maximum: 3 }, { type: 'number', minimum: 3.5 }, { type: 'string' }] },
  { enum: [1, 'two', { three: [4, null] }, true, 5.5], type: ['object', 'number'] },
  { prefixItems: [{ type: 'string' }, { type: 'integer' }], items: { type: 'null' }, minItems: 1, type: 'array' },
  { $ref: '#/$defs/tree', $defs: { tree: { type: 'array', items: { $ref: '#/$defs/tree' }, maxItems: 2 } } },
  { type: 'array', items: { type: ['integer', 'boolean'] }, contains: { minimum: 5, type: 'integer' }, minContains: 2 },
  { type: 'array', contains: { const: 'x' }, maxItems: 3, allOf: [{ contains: { type: 'null' } }] },
  { enum: [[1, 2], ['a', 1], ['a'], []], contains: { type: 'string' } },
  {
    type: 'object',
    properties: { card: { type: 'integer' }, address: { type: 'string', maxLength: 4 } },
    dependentRequired: { card: ['address'] },
    additionalProperties: false,
  },
  {
    type: 'object',
    properties: { a: { type: 'boolean' }, b: { type: 'integer' } },
    dependentSchemas: { a: { properties: { b: { maximum: 3 } }, required: ['b'] } },
    additionalProperties: false,
  },
  { type: 'object', properties: { n: { type: 'string', nullable: true, maxLength: 2 } }, required: ['n'] },
  { type: 'integer', format: 'int32', maximum: 99 },
  {
    allOf: [{ properties: { a: { type: 'string' } } }, { properties: { a: { maxLength: 2 }, b: {} }, required: ['a'] }],
    type: 'object',
  },
];

/** Writes some texts and has them validated. */
function check(name: string, schema: Json, constraint: Constraint, random: Random, texts: number): number {
  const isValid = validator(schema);
  let written = 0;
  for (let i = 0; i < texts; i++) {
    const text = writeConstrained(constraint, random, MOST_TOKENS);
    if (text === null) continue;
    written++;
    assert.ok(isValid(JSON.parse(text)), `${name}: ${text} is not valid under ${JSON.stringify(schema)}`);
  }
  return written;
}

describe('JSON Schema', () => {
  it('every text is valid, whatever the model likes', () => {
    const random = new Random(11);
    for (const [i, schema] of SCHEMAS.entries()) {
      const written = check(`schema ${i}`, schema, constraintOf({ kind: 'json-schema', schema }), random, 40);
      assert.ok(written > 10, `schema ${i} was written ${written} times`);
    }
  });

  it('every text is valid for the schemas of the test suite, or a keyword is refused by name', {
    skip: suite === null ? 'no ../shared/data' : false,
  }, (context) => {
    const random = new Random(12);
    let written = 0;
    let refused = 0;
    for (const { name, schema } of suiteSchemas(suite!)) {
      let constraint: Constraint;
      try {
        constraint = constraintOf({ kind: 'json-schema', schema });
      } catch (thrown) {
        assert.ok(thrown instanceof StarlingError, `${name}: ${thrown}`);
        const isNamed =
          /^the keyword "[^"]+" at #|of the schema (names|refers)|no text satisfies|in a regular expression/.test(
            thrown.message,
          );
        assert.ok(isNamed, `${name}: ${thrown.message}`);
        refused++;
        continue;
      }
      written += check(name, schema, constraint, random, 3);
    }
    context.diagnostic(`${written} texts, ${refused} schemas refused`);
    assert.ok(written > 450 && refused < 230);
  });

  it('what is usual can be written', () => {
    const cases: readonly (readonly [schema: Json, text: string])[] = [
      [
        PERSON,
        '{"name": "Bob \\"é\\" 漢", "age": 130, "mail": "x@y.org", "tags": ["a \\"b\\"", "c"], "friend": {"name": "A", "age": 0, "tags": ["c"]}}',
      ],
      [{ type: 'object' }, '{"a": {"b": [1, -2.5e10, true, null, "\\u00e9"]}}'],
      [{ type: 'number', minimum: -1.5, exclusiveMaximum: 2.25 }, '2.2499'],
      [{ type: 'number', minimum: -1.5 }, '-1.5'],
      [{ type: 'number', minimum: -1.5 }, '123456.75'],
      [{ type: 'number', exclusiveMinimum: 0 }, '0.001'],
      [{ type: 'integer', multipleOf: 15, minimum: -45 }, '-30'],
      [{ properties: { a: true }, additionalProperties: { type: 'integer' } }, '{"b": 2, "aa": 3}'],
      [{ type: 'string', format: 'date-time' }, '"2025-02-28T23:59:00.5+01:00"'],
      [{ type: 'string', format: 'email' }, '"jane.doe@mail.example.org"'],
      [{ type: 'string', format: 'uuid' }, '"01234567-89ab-cdef-0123-456789abcdef"'],
      [{ type: 'string', format: 'ipv6' }, '"fe80::1:2"'],
      [{ type: 'string', format: 'uri' }, '"https://example.org/a/b?c=d"'],
      [{ type: ['string', 'null'], title: 'T', description: 'D', default: null, examples: ['x'] }, 'null'],
      [{ const: 'é"' }, '"é\\""'],
      [{ contains: { type: 'null' } }, '[1, null, "x"]'],
      [{ dependentRequired: { a: ['b'] } }, '{"c": 1}'],
      [{ dependentRequired: { a: ['b'] } }, '{"b": 1, "a": 2}'],
      [{ type: 'string', nullable: true }, 'null'],
      [{ type: 'number', format: 'double' }, '0.5'],
    ];
    for (const [schema, text] of cases) {
      assert.ok(satisfies(constraintOf({ kind: 'json-schema', schema }), text), `${JSON.stringify(schema)} ${text}`);
      assert.ok(text.includes('-') || validator(schema)(JSON.parse(text)));
    }
  });

  it('refuses what is not supported, with keyword and place', () => {
    const cases: readonly (readonly [schema: Json, keyword: string, pointer: string])[] = [
      [{ not: {} }, 'not', '#'],
      [{ properties: { 'a/b': { items: { maxContains: 1 } } } }, 'maxContains', '#/properties/a~1b/items'],
      [{ type: 'array', uniqueItems: true }, 'uniqueItems', '#'],
      [{ anyOf: [{}, { if: {} }] }, 'if', '#/anyOf/1'],
      [{ $ref: '#/$defs/x', $defs: { x: { propertyDependencies: {} } } }, 'propertyDependencies', '#/$defs/x'],
      [{ maxlength: 3 }, 'maxlength', '#'],
      [{ length: 3 }, 'length', '#'],
      [{ format: 'color' }, 'format', '#'],
      [{ multipleOf: 0.01 }, 'multipleOf', '#'],
      [{ $ref: 'https://example.org/schema' }, '$ref', '#'],
      [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf', '#'],
      [{ maxLength: 20_000 }, 'maxLength', '#'],
      [{ minProperties: 3 }, 'minProperties', '#'],
      [{ properties: { a: { anyOf: [{}], unevaluatedProperties: false } } }, 'unevaluatedProperties', '#/properties/a'],
    ];
    for (const [schema, keyword, pointer] of cases) {
      assert.throws(
        () => constraintOf({ kind: 'json-schema', schema }),
        (thrown) => {
          assert.ok(thrown instanceof StarlingError && thrown.code === 'unsupported_parameter', String(thrown));
          assert.ok(thrown.message.startsWith(`the keyword "${keyword}" at ${pointer} of the schema`), thrown.message);
          return true;
        },
      );
    }
  });

  it('refuses what is no schema, and what nothing satisfies', () => {
    const cases: readonly Json[] = [
      3,
      { type: 'text' },
      { required: 'a' },
      { minLength: -1 },
      { pattern: '(' },
      { enum: 3 },
      { $ref: '#/$defs/none' },
      { anyOf: [4] },
      { type: 'integer', minimum: 3, maximum: 2 },
      { type: 'string', minLength: 3, maxLength: 2 },
      { type: 'array', minItems: 3, maxItems: 2 },
      { type: 'object', minProperties: 1, maxProperties: 0 },
      { enum: [1], type: 'string' },
      false,
      { required: ['a'], properties: { a: false }, type: 'object' },
      { type: 'array', minItems: 1, items: { $ref: '#' } },
    ];
    for (const schema of cases) {
      assert.throws(
        () => constraintOf({ kind: 'json-schema', schema }),
        { code: 'invalid_request' },
        JSON.stringify(schema),
      );
    }
  });
});

describe('a JSON object', () => {
  it('is any, with white space as the model likes it', () => {
    const constraint = constraintOf({ kind: 'json-object' });
    const random = new Random(13);
    for (let i = 0; i < 60; i++) {
      const text = writeConstrained(constraint, random, MOST_TOKENS);
      if (text !== null) assert.equal(typeof JSON.parse(text), 'object');
    }
    assert.ok(satisfies(constraint, '{\n  "a": [1, 2],\n\t"b":{ "c" :"\\n"}\n}'));
    for (const text of ['[]', '3', '{"a"}', '{"a": 01}', '{"a": 1,}', '{"\n": 1}'])
      assert.ok(!satisfies(constraint, text), text);
  });
});
