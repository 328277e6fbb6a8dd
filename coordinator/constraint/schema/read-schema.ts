import type { Automata } from '../character-automaton.ts';
import { isBeyond, isExactBound } from '../decimal-range.ts';
import { isList, type Json } from '../json-grammar.ts';
import { isObject, isSame, type JsonObject } from './json-values.ts';
import { invalid, unsupported } from './schema-errors.ts';
import { SchemaFields } from './schema-fields.ts';
import { newNode, type SchemaNode } from './schema-node.ts';

const MAX_SCHEMAS = 10_000;
const MAX_NESTING = 200;

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
  'additionalItems',
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
 * Reads a JSON Schema (draft 2020-12, or draft 7 with its tuples), and all schemas that it is made of.
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
    const fields = new SchemaFields(schema, pointer, this.#automata);
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
    const bound = (side: 'lower' | 'upper', keyword: string, exclusive: boolean) => {
      const value = fields.number(keyword);
      if (value === null) return [];
      if (isBeyond(side, value) || isExactBound(value)) return [{ value, exclusive }];
      throw unsupported(pointer, keyword, 'with more than 15 digits');
    };
    node.numbers = {
      isInteger: types?.has('integer') === true && !types.has('number'),
      lower: [...bound('lower', 'minimum', false), ...bound('lower', 'exclusiveMinimum', true)],
      upper: [...bound('upper', 'maximum', false), ...bound('upper', 'exclusiveMaximum', true)],
      multiples: fields.multiples(),
    };
    node.strings = { ...fields.counts('minLength', 'maxLength'), automata: fields.automata() };
    const isTuple = Array.isArray(schema.items);
    node.elements = {
      ...fields.counts('minItems', 'maxItems'),
      prefix: list(isTuple ? 'items' : 'prefixItems') ?? [],
      items: child(isTuple ? 'additionalItems' : 'items') ?? child('unevaluatedItems'),
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
