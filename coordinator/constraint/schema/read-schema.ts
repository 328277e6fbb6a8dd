import { StarlingError } from '../../../daemon/errors.ts';
import type { Automata, CharacterAutomaton } from '../character-automaton.ts';
import { isExactBound } from '../decimal-range.ts';
import { isList, type Json } from '../json-grammar.ts';
import { partMatch, wholeMatch } from '../regex.ts';
import { FORMATS } from './formats.ts';
import { ALL_TYPES, type Counts, newNode, type SchemaNode, type ValueType } from './schema-node.ts';

type JsonObject = { readonly [name: string]: Json };

const MAX_SCHEMAS = 10_000;
const MAX_NESTING = 200;
const MAX_COUNT = 10_000;
const MAX_MULTIPLE = 1000;

/** Keywords that say something about values, all of which are kept to. */
export const SUPPORTED_KEYWORDS: readonly string[] = [
  'type',
  'enum',
  'const',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'format',
  'prefixItems',
  'items',
  'minItems',
  'maxItems',
  'properties',
  'patternProperties',
  'additionalProperties',
  'propertyNames',
  'required',
  'minProperties',
  'maxProperties',
  'allOf',
  'anyOf',
  'oneOf',
  '$ref',
];

/** Keywords that say nothing about which values are valid. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  '$schema',
  '$id',
  '$anchor',
  '$defs',
  'definitions',
  '$comment',
  'title',
  'description',
  'default',
  'examples',
  'example',
  'deprecated',
  'readOnly',
  'writeOnly',
  'contentEncoding',
  'contentMediaType',
  'contentSchema',
  'discriminator',
]);

/** Keywords that change nothing where they have this value. */
const VOID: Readonly<Record<string, Json>> = {
  uniqueItems: false,
  nullable: false,
  minContains: 0,
};

/**
 * What these say of elements and properties is what `items` and `additionalProperties` say where those are not there, unless a schema
 * of the keywords below it has said something as well.
 */
const UNEVALUATED: readonly string[] = ['unevaluatedItems', 'unevaluatedProperties'];
const IN_PLACE: readonly string[] = ['allOf', 'anyOf', 'oneOf', '$ref'];

/**
 * Reads a JSON Schema (draft 2020-12), and all schemas that it is made of.
 * @throws StarlingError unsupported_parameter with the name of a keyword that is not supported and the JSON pointer to its schema;
 * invalid_request for what is no schema
 */
export function readSchema(schema: Json, automata: Automata): SchemaNode {
  return new SchemaReader(schema, automata).read();
}

class SchemaReader {
  readonly #root: Json;
  readonly #automata: Automata;
  readonly #nodes = new Map<string, SchemaNode>();
  #depth = 0;

  constructor(root: Json, automata: Automata) {
    this.#root = root;
    this.#automata = automata;
  }

  read(): SchemaNode {
    return this.#node(this.#root, '#');
  }

  #node(schema: Json, pointer: string): SchemaNode {
    const known = this.#nodes.get(pointer);
    if (known !== undefined) return known;
    const node = newNode(this.#nodes.size, pointer);
    this.#nodes.set(pointer, node);
    if (this.#nodes.size > MAX_SCHEMAS || ++this.#depth > MAX_NESTING) {
      throw invalid(pointer, `is too much: a schema may have ${MAX_SCHEMAS} parts, nested ${MAX_NESTING} deep`);
    }
    if (schema === false) node.types = new Set();
    else if (isObject(schema)) this.#fill(node, schema);
    else if (schema !== true) throw invalid(pointer, 'is neither an object nor true or false');
    this.#depth--;
    return node;
  }

  #fill(node: SchemaNode, schema: JsonObject): void {
    const { pointer } = node;
    this.#checkKeywords(schema, pointer);
    const fields = new Fields(schema, pointer, this.#automata);
    const child = (keyword: string): SchemaNode | null =>
      schema[keyword] === undefined ? null : this.#node(schema[keyword], `${pointer}/${keyword}`);
    const list = (keyword: string): SchemaNode[] | null =>
      fields.list(keyword)?.map((inner, i) => this.#node(inner, `${pointer}/${keyword}/${i}`)) ?? null;
    const named = (keyword: string): [name: string, node: SchemaNode][] =>
      Object.entries(fields.object(keyword) ?? {}).map(([name, inner]) => [
        name,
        this.#node(inner, `${pointer}/${keyword}/${escaped(name)}`),
      ]);

    const types = fields.types();
    if (types !== null) node.types = new Set([...types].map((type) => (type === 'integer' ? 'number' : type)));
    const constant = schema.const;
    const values = fields.list('enum');
    if (constant === undefined) node.literals = values;
    else node.literals = values?.some((value) => isSame(value, constant)) === false ? [] : [constant];
    const bound = (keyword: string, exclusive: boolean) => {
      const value = fields.number(keyword);
      if (value !== null && !isExactBound(value)) throw unsupported(pointer, keyword, 'with more than 15 digits');
      return value === null ? [] : [{ value, exclusive }];
    };
    node.numbers = {
      isInteger: types?.has('integer') === true && !types.has('number'),
      lower: [...bound('minimum', false), ...bound('exclusiveMinimum', true)],
      upper: [...bound('maximum', false), ...bound('exclusiveMaximum', true)],
      multiples: fields.multiples(),
    };
    node.strings = { ...fields.counts('minLength', 'maxLength'), automata: fields.automata() };
    node.elements = {
      ...fields.counts('minItems', 'maxItems'),
      prefix: list('prefixItems') ?? [],
      items: child('items') ?? child('unevaluatedItems'),
    };
    node.properties = {
      ...fields.counts('minProperties', 'maxProperties'),
      properties: new Map(named('properties')),
      patterns: named('patternProperties').map(([pattern, inner]) => ({
        names: fields.automaton('patternProperties', pattern),
        node: inner,
      })),
      others: child('additionalProperties') ?? child('unevaluatedProperties'),
      required: fields.names('required'),
      names: child('propertyNames'),
    };
    node.all = list('allOf') ?? [];
    node.any = list('anyOf');
    node.one = list('oneOf');
    const target = schema.$ref;
    if (target !== undefined) node.all = [...node.all, this.#target(target, pointer)];
  }

  #checkKeywords(schema: JsonObject, pointer: string): void {
    for (const [keyword, value] of Object.entries(schema)) {
      if (SUPPORTED_KEYWORDS.includes(keyword)) continue;
      if (keyword === '$id' && pointer !== '#') throw unsupported(pointer, keyword, 'but at the root');
      if (keyword === '$schema' && !/^https?:\/\/json-schema\.org\//.test(String(value))) {
        throw unsupported(pointer, keyword, 'with another dialect than those of json-schema.org');
      }
      if (ANNOTATIONS.has(keyword) || (Object.hasOwn(VOID, keyword) && VOID[keyword] === value)) continue;
      if (Object.hasOwn(UNEVALUATED, keyword)) {
        if (!IN_PLACE.some((other) => Object.hasOwn(schema, other))) continue;
        throw unsupported(pointer, keyword, `beside ${IN_PLACE.join(', ')}`);
      }
      if (UNEVALUATED.includes(keyword)) {
        if (value === true || !IN_PLACE.some((other) => Object.hasOwn(schema, other))) continue;
        throw unsupported(pointer, keyword, `beside ${IN_PLACE.join(', ')}`);
      }
      throw unsupported(pointer, keyword, `; supported are ${SUPPORTED_KEYWORDS.join(', ')}`);
    }
  }

  #target(reference: Json, pointer: string): SchemaNode {
    if (typeof reference !== 'string') throw invalid(`${pointer}/$ref`, 'is no string');
    const own = isObject(this.#root) && typeof this.#root.$id === 'string' ? this.#root.$id.replace(/#$/, '') : '';
    const fragment = own !== '' && reference.startsWith(own) ? reference.slice(own.length) || '#' : reference;
    if (!fragment.startsWith('#')) throw unsupported(pointer, '$ref', 'to another document');
    if (fragment !== '#' && !fragment.startsWith('#/')) return this.#anchored(fragment.slice(1), pointer);
    let at: Json | undefined = this.#root;
    let canonical = '#';
    for (const part of fragment.split('/').slice(1)) {
      const name = unescaped(part);
      at = isObject(at) ? (Object.hasOwn(at, name) ? at[name] : undefined) : isList(at!) ? at[Number(name)] : undefined;
      if (isObject(at) && at.$id !== undefined)
        throw unsupported(pointer, '$ref', 'into a schema that has its own $id');
      canonical += `/${escaped(name)}`;
    }
    if (at === undefined) throw invalid(`${pointer}/$ref`, `leads nowhere: ${JSON.stringify(reference)}`);
    return this.#node(at, canonical);
  }

  #anchored(anchor: string, pointer: string): SchemaNode {
    const found: [Json, string][] = [];
    const queue: [Json, string][] = [[this.#root, '#']];
    for (const [value, at] of queue) {
      if (typeof value !== 'object' || value === null) continue;
      if (isObject(value) && value.$anchor === anchor) found.push([value, at]);
      for (const [name, inner] of Object.entries(value)) queue.push([inner, `${at}/${escaped(name)}`]);
    }
    if (found.length !== 1) throw invalid(`${pointer}/$ref`, `names an anchor that is there ${found.length} times`);
    return this.#node(...found[0]!);
  }
}

/** The values of one schema's keywords, checked. */
class Fields {
  readonly #schema: JsonObject;
  readonly #pointer: string;
  readonly #automata: Automata;

  constructor(schema: JsonObject, pointer: string, automata: Automata) {
    this.#schema = schema;
    this.#pointer = pointer;
    this.#automata = automata;
  }

  number(keyword: string): number | null {
    const value = this.#schema[keyword];
    if (value === undefined) return null;
    if (typeof value !== 'number') throw invalid(`${this.#pointer}/${keyword}`, 'is no number');
    return value;
  }

  list(keyword: string): readonly Json[] | null {
    const value = this.#schema[keyword];
    if (value === undefined) return null;
    if (!isList(value)) throw invalid(`${this.#pointer}/${keyword}`, 'is no list');
    return value;
  }

  object(keyword: string): JsonObject | null {
    const value = this.#schema[keyword];
    if (value === undefined) return null;
    if (!isObject(value)) throw invalid(`${this.#pointer}/${keyword}`, 'is no object');
    return value;
  }

  names(keyword: string): readonly string[] {
    const values = this.list(keyword) ?? [];
    return values.map((name) => {
      if (typeof name !== 'string') throw invalid(`${this.#pointer}/${keyword}`, 'holds something else than names');
      return name;
    });
  }

  types(): ReadonlySet<ValueType | 'integer'> | null {
    const value = this.#schema.type;
    if (value === undefined) return null;
    const names = isList(value) ? value : [value];
    return new Set(
      names.map((name) => {
        if (name === 'integer' || ALL_TYPES.has(name as ValueType)) return name as ValueType | 'integer';
        throw invalid(`${this.#pointer}/type`, `has no type ${JSON.stringify(name)}`);
      }),
    );
  }

  counts(least: string, most: string): Counts {
    const count = (keyword: string): number | null => {
      const value = this.number(keyword);
      if (value === null) return null;
      if (!Number.isInteger(value) || value < 0) throw invalid(`${this.#pointer}/${keyword}`, 'is no count');
      if (value > MAX_COUNT) throw unsupported(this.#pointer, keyword, `above ${MAX_COUNT}`);
      return value;
    };
    return { min: count(least) ?? 0, max: count(most) ?? Number.POSITIVE_INFINITY };
  }

  multiples(): readonly number[] {
    const value = this.number('multipleOf');
    if (value === null) return [];
    if (!(value > 0)) throw invalid(`${this.#pointer}/multipleOf`, 'is not above 0');
    if (!Number.isInteger(value) || value > MAX_MULTIPLE) {
      throw unsupported(this.#pointer, 'multipleOf', `but of whole numbers up to ${MAX_MULTIPLE}`);
    }
    return [value];
  }

  automata(): readonly CharacterAutomaton[] {
    const { pattern, format } = this.#schema;
    const automata: CharacterAutomaton[] = [];
    if (pattern !== undefined) automata.push(this.automaton('pattern', pattern));
    if (format !== undefined) {
      const known = FORMATS.get(String(format));
      if (known === undefined) {
        throw unsupported(
          this.#pointer,
          'format',
          `${JSON.stringify(format)}; supported are ${[...FORMATS.keys()].join(', ')}`,
        );
      }
      automata.push(this.#automata.of(wholeMatch(known)));
    }
    return automata;
  }

  automaton(keyword: string, pattern: Json): CharacterAutomaton {
    if (typeof pattern !== 'string') throw invalid(`${this.#pointer}/${keyword}`, 'is no string');
    try {
      return this.#automata.of(partMatch(pattern));
    } catch (thrown) {
      if (!(thrown instanceof StarlingError)) throw thrown;
      const where = `${this.#pointer}/${keyword}`;
      throw new StarlingError(thrown.code, `the schema's ${where}: ${thrown.message}`, { param: where, cause: thrown });
    }
  }
}

/** Whether two values are equal as JSON Schema has it: the order of properties does not count. */
export function isSame(a: Json, b: Json): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return a === b;
  if (isList(a) || isList(b)) {
    return isList(a) && isList(b) && a.length === b.length && a.every((value, i) => isSame(value, b[i]!));
  }
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSame(a[name]!, b[name]!))
  );
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !isList(value);
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescaped(part: string): string {
  let decoded = part;
  try {
    decoded = decodeURIComponent(part);
  } catch {
    // A stray percent sign stands for itself.
  }
  return decoded.replaceAll('~1', '/').replaceAll('~0', '~');
}

export function unsupported(pointer: string, keyword: string, which: string): StarlingError {
  const joint = which.startsWith(';') ? '' : ' ';
  return new StarlingError(
    'unsupported_parameter',
    `the keyword ${JSON.stringify(keyword)} at ${pointer} of the schema is not supported${joint}${which}`,
    { param: `${pointer}/${keyword}` },
  );
}

function invalid(pointer: string, problem: string): StarlingError {
  return new StarlingError('invalid_request', `${pointer} of the schema ${problem}`, { param: pointer });
}
