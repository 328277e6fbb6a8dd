import type { Random } from '../../test/fixtures/random.ts';

/** A JSON value that may be changed. */
export type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

const MOST_DEPTH = 4;

const PATTERN_PARTS: readonly string[] = [
  ...['a', '.', '\\d', '\\w', '\\s', '\\S', '\\p{L}', '\\P{Lu}', '\\x41', '\\u0041', '\\u{1F600}', '\\b', '\\B', '\\1'],
  ...['[a-z]', '[^a-z]', '[z-a]', '[]', '[^]', '[\\d-x]', '[\\ud800-\\udfff]', '[\u0000-\u{10ffff}]', 'é', '漢', '😀'],
  ...['*', '+', '?', '*?', '{2}', '{0,}', '{3,1}', '{1000}', '{1000000000}', '{0,255}', '{', '}', '|', '^', '$'],
  ...['(', ')', '(?:', '(?=', '(?!', '(?<=', '(?<n>', '\\k<n>', '(?i)', '(a+)+', '(a|a)*', '(.*)*', '(a?){64}', '\\'],
];

const GRAMMAR_PARTS: readonly string[] = [
  ...[
    'root ::= ',
    'root ::= root',
    'a ::= ',
    '\n',
    ' | ',
    ' "x" ',
    '"',
    '[a-z]',
    '[^\\n]',
    '[',
    ']',
    '.',
    ' a ',
    ' b ',
  ],
  ...['(', ')', '*', '+', '?', '{3}', '{2,}', '{1000000}', '{9,2}', '# note\n', '\\x00', '\\u{110000}', '\\U0001F600'],
  ...['a ::= a a | "" ', 'b ::= (b*)*', '::=', 'root ::= (("a"?)*)+ ', '\r\n', '<[1]>', '😀', '\ud800', 'root-2'],
];

const TYPES: readonly Value[] = ['string', 'number', 'integer', 'boolean', 'null', 'array', 'object', 'any', 7, null];
const STRING_FORMATS = ['date', 'date-time', 'time', 'uuid', 'email', 'uri', 'ipv4', 'hostname', 'regex', 'x'];
const POINTERS = ['#', '#/$defs/a', '#/definitions/b', '#/properties/a', '#/%zz', 'http://localhost/', '##', '/a', ''];
const COUNTS: readonly number[] = [0, 1, 2, 3, 64, 1000, 1e6, 2 ** 31, 2 ** 53, 1e300, -1, 0.5, -0];
const NAMES = [
  'a',
  'b',
  'name',
  '',
  '__proto__',
  'constructor',
  'toString',
  '"',
  '\ud800',
  'é',
  '\u0000',
  'a'.repeat(300),
];

const several = <T>(random: Random, most: number, make: () => T): T[] =>
  Array.from({ length: random.between(0, most) }, make);

/** A regular expression, or something like one. */
export function hostilePattern(random: Random): string {
  if (random.chance(0.05)) return random.pick(PATTERN_PARTS).repeat(random.between(1, 2000));
  return several(random, 10, () => random.pick(PATTERN_PARTS)).join('');
}

/** A grammar in GBNF, or something like one. */
export function hostileGrammar(random: Random): string {
  if (random.chance(0.05)) return `root ::= ${random.pick(GRAMMAR_PARTS).repeat(random.between(1, 1000))}`;
  const parts = several(random, 14, () => random.pick(GRAMMAR_PARTS));
  return `${random.chance(0.8) ? 'root ::= ' : ''}${parts.join('')}`;
}

/** The keywords, with what makes a value for each. */
const KEYWORDS: readonly [name: string, value: (random: Random, depth: number) => Value][] = [
  ['type', (random) => (random.chance(0.8) ? random.pick(TYPES) : several(random, 4, () => random.pick(TYPES)))],
  ['properties', schemaMap],
  ['patternProperties', schemaMap],
  ['$defs', schemaMap],
  ['definitions', schemaMap],
  ['dependentSchemas', schemaMap],
  ['required', (random) => several(random, 5, () => random.pick(NAMES))],
  ['additionalProperties', (random, depth) => (random.chance(0.5) ? random.chance(0.5) : hostileSchema(random, depth))],
  ['propertyNames', hostileSchema],
  ['items', (random, depth) => (random.chance(0.8) ? hostileSchema(random, depth) : schemaList(random, depth))],
  ['prefixItems', schemaList],
  ['contains', hostileSchema],
  ['anyOf', schemaList],
  ['oneOf', schemaList],
  ['allOf', schemaList],
  ['not', hostileSchema],
  ['if', hostileSchema],
  ['enum', (random) => several(random, 6, () => plain(random))],
  ['const', plain],
  ['$ref', (random) => random.pick(POINTERS)],
  ['pattern', hostilePattern],
  ['format', (random) => random.pick(STRING_FORMATS)],
  ['title', (random) => random.pick(NAMES)],
  ['default', plain],
  ['nullable', (random) => random.chance(0.5)],
  ...'minLength maxLength minItems maxItems minProperties maxProperties minimum maximum exclusiveMinimum exclusiveMaximum multipleOf uniqueItems'
    .split(' ')
    .map((name) => [name, (random: Random) => random.pick(COUNTS)] as [string, (random: Random) => Value]),
];

function plain(random: Random): Value {
  return random.pick<Value>([null, true, 0, -1.5, 1e300, '', 'a', '"', '\ud800', [], {}, [1, 'a'], { a: { b: [] } }]);
}

function schemaList(random: Random, depth: number): Value {
  return several(random, 4, () => hostileSchema(random, depth));
}

function schemaMap(random: Random, depth: number): Value {
  return ownFields(several(random, 4, () => [random.pick(NAMES), hostileSchema(random, depth)]));
}

/** An object of just these fields, whatever their names. */
export function ownFields(entries: readonly (readonly [string, Value])[]): { [name: string]: Value } {
  const object: { [name: string]: Value } = {};
  for (const [name, value] of entries) setOwn(object, name, value);
  return object;
}

/** Sets a field, also one of the name __proto__. */
export function setOwn(object: object, name: string, value: Value): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

/** A JSON schema, or something like one. */
export function hostileSchema(random: Random, depth = 0): Value {
  if (depth > MOST_DEPTH) return random.pick<Value>([{}, true, false, { type: 'string' }, { $ref: '#' }]);
  const keywords = several(random, depth === 0 ? 5 : 3, () => random.pick(KEYWORDS));
  return ownFields(keywords.map(([name, make]) => [name, make(random, depth + 1)]));
}
