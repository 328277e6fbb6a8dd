import type { Automata } from '../automata.ts';
import { isBeyond, isExactBound } from '../decimal-range.ts';
import { isList, type Json } from '../json-grammar.ts';
import { isObject, isSame, type JsonObject } from './json-values.ts';
import { invalid, unsupported } from './schema-errors.ts';
import { SchemaFields } from './schema-fields.ts';
import { newNode, type SchemaNode } from './schema-node.ts';

const MAX_SCHEMAS = 10_000;
const MAX_NESTING = 200;

/** Keywords that say something about values, all of which are kept to. */
const SUPPORTED_KEYWORDS: readonly string[] = [
  'type',
  'nullable',
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
  'contains',
  'minContains',
  'minItems',
  'maxItems',
  'properties',
  'patternProperties',
  'additionalProperties',
  'propertyNames',
  'required',
  'dependentRequired',
  'dependentSchemas',
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
};

/**
 * What these say of elements and properties is what `items` and `additionalProperties` say where those are not there,
 * unless a schema of the keywords below it has said something as well.
 */
const UNEVALUATED: readonly string[] = ['unevaluatedItems', 'unevaluatedProperties'];
const IN_PLACE: readonly string[] = ['allOf', 'anyOf', 'oneOf', '$ref', 'dependentSchemas', 'contains'];

/**
 * Reads a JSON Schema (draft 2020-12, or draft 7 with its tuples), and all schemas that it is made of.
 * @throws StarlingError unsupported_parameter with the name of a keyword that is not supported and the JSON pointer to
 * its schema; invalid_request for what is no schema
 */
export function readSchema(schema: Json, automata: Automata): SchemaNode {
  return new SchemaReader(schema, automata).read();
}

class SchemaReader {
  readonly #root: Json;
  readonly #automata: Automata;
  readonly #nodes = new Map<string, SchemaNode>();
  #depth = 0;
  #anchors: ReturnType<typeof anchorsIn> | null = null;

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
    // As OpenAPI has it.
    if (types !== null && fields.isNullable()) node.types = new Set([...node.types, 'null']);
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
      lower: [
        ...bound('lower', 'minimum', false),
        ...bound('lower', 'exclusiveMinimum', true),
        ...fields.formatBounds('lower'),
      ],
      upper: [
        ...bound('upper', 'maximum', false),
        ...bound('upper', 'exclusiveMaximum', true),
        ...fields.formatBounds('upper'),
      ],
      multiples: fields.multiples(),
    };
    node.strings = { ...fields.counts('minLength', 'maxLength'), automata: fields.automata() };
    const isTuple = Array.isArray(schema.items);
    node.elements = {
      ...fields.counts('minItems', 'maxItems'),
      prefix: list(isTuple ? 'items' : 'prefixItems') ?? [],
      items: child(isTuple ? 'additionalItems' : 'items') ?? child('unevaluatedItems'),
      contains: [child('contains')].flatMap((inner) => (inner === null ? [] : [{ node: inner, min: fields.least() }])),
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
    for (const [name, names] of Object.entries(fields.object('dependentRequired') ?? {})) {
      const at = `${pointer}/dependentRequired/${escaped(name)}`;
      node.all = [...node.all, this.#dependent(name, this.#node({ required: names }, at))];
    }
    for (const [name, inner] of named('dependentSchemas')) node.all = [...node.all, this.#dependent(name, inner)];
  }

  /** That a property is not there, or a schema holds. */
  #dependent(name: string, then: SchemaNode): SchemaNode {
    const without = this.#node({ properties: { [name]: false } }, `without ${then.pointer}`);
    const either = this.#node(true, `with or without ${then.pointer}`);
    either.any = [without, then];
    return either;
  }

  #checkKeywords(schema: JsonObject, pointer: string): void {
    for (const [keyword, value] of Object.entries(schema)) {
      if (SUPPORTED_KEYWORDS.includes(keyword)) continue;
      if (keyword === '$id' && pointer !== '#') throw unsupported(pointer, keyword, 'but at the root');
      if (keyword === '$schema' && !/^https?:\/\/json-schema\.org\//.test(String(value))) {
        throw unsupported(pointer, keyword, 'with another dialect than those of json-schema.org');
      }
      if (ANNOTATIONS.has(keyword) || (Object.hasOwn(VOID, keyword) && VOID[keyword] === value)) continue;
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
    this.#anchors ??= anchorsIn(this.#root);
    const [found, ...more] = this.#anchors.get(anchor) ?? [];
    if (found === undefined || more.length > 0) {
      throw invalid(
        `${pointer}/$ref`,
        `names an anchor that is there ${found === undefined ? 0 : 1 + more.length} times`,
      );
    }
    return this.#node(...found);
  }
}

/** Schemas with an anchor, by it, with their pointers. */
function anchorsIn(root: Json): ReadonlyMap<string, readonly [schema: Json, pointer: string][]> {
  const anchors = new Map<string, [Json, string][]>();
  const queue: [Json, string][] = [[root, '#']];
  for (const [value, at] of queue) {
    if (typeof value !== 'object' || value === null) continue;
    if (isObject(value) && typeof value.$anchor === 'string') {
      const found = anchors.get(value.$anchor) ?? [];
      found.push([value, at]);
      anchors.set(value.$anchor, found);
    }
    for (const [name, inner] of Object.entries(value)) queue.push([inner, `${at}/${escaped(name)}`]);
  }
  return anchors;
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
