import { StarlingError } from '../../../daemon/errors.ts';
import type { Automata } from '../automata.ts';
import { isEmpty } from '../character-automaton.ts';
import { isList, type Json } from '../json-grammar.ts';
import { isObject, isSame } from './json-values.ts';
import { numberAutomaton, stringAutomaton } from './scalar-automata.ts';
import { unsupported } from './schema-errors.ts';
import type { Counts, ElementRules, NumberRules, PropertyRules, SchemaNode, StringRules } from './schema-node.ts';

/** Values of one JSON type, with all that must hold of them; or one value. */
export type Alternative =
  | { readonly kind: 'literal'; readonly value: Json }
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean' }
  | ({ readonly kind: 'number' } & NumberRules)
  | ({ readonly kind: 'string' } & StringRules)
  | ({ readonly kind: 'array'; readonly parts: readonly ElementRules[] } & Counts)
  | ObjectAlternative;

export interface ObjectAlternative extends Counts {
  readonly kind: 'object';
  /** What each of the schemas that hold says. */
  readonly parts: readonly PropertyRules[];
  readonly required: ReadonlySet<string>;
  /** What names must be. */
  readonly names: readonly SchemaNode[];
}

/** Beyond it, schemas are too entangled. */
const MAX_ALTERNATIVES = 500;
/** How deep to look for proof that nothing satisfies two schemas at a time. */
const MAX_PROOF = 4;

/** Schemas as lists of alternatives, of which one must hold. */
export class Alternatives {
  readonly #known = new Map<SchemaNode, readonly Alternative[]>();
  readonly #open = new Set<SchemaNode>();
  readonly #automata: Automata;

  constructor(automata: Automata) {
    this.#automata = automata;
  }

  /**
   * @param nodes all of which hold
   * @throws StarlingError unsupported_parameter, invalid_request
   */
  of(nodes: readonly SchemaNode[]): readonly Alternative[] {
    let common: readonly Alternative[] | null = null;
    for (const node of nodes)
      common = common === null ? this.#ofOne(node) : this.#meet(common, this.#ofOne(node), node);
    return common ?? ANYTHING;
  }

  /** Whether all of the schemas hold for a value. */
  admits(nodes: readonly SchemaNode[], value: Json): boolean {
    return nodes.every((node) => this.#ofOne(node).some((alternative) => this.#holds(alternative, value)));
  }

  /** The schemas of a property. */
  ofProperty(parts: readonly PropertyRules[], name: string): readonly SchemaNode[] {
    return parts.flatMap(({ properties, patterns, others }) => {
      const found = patterns.filter(({ names }) => this.#automata.matches(names, name)).map(({ node }) => node);
      const own = properties.get(name);
      if (own !== undefined) found.push(own);
      return found.length > 0 || others === null ? found : [others];
    });
  }

  #ofOne(node: SchemaNode): readonly Alternative[] {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    if (this.#open.has(node)) {
      throw new StarlingError('invalid_request', `the schema at ${node.pointer} refers to itself for the same value`);
    }
    this.#open.add(node);
    let found = ownAlternatives(node);
    for (const other of node.all) found = this.#meet(found, this.#ofOne(other), node);
    for (const list of [node.any, node.one === null ? null : this.#disjoint(node, node.one)]) {
      if (list === null) continue;
      found = this.#meet(
        found,
        list.flatMap((other) => this.#ofOne(other)),
        node,
      );
    }
    if (node.literals !== null) {
      const holding = node.literals.filter((value) => found.some((alternative) => this.#holds(alternative, value)));
      found = holding.map((value) => ({ kind: 'literal', value }));
    }
    this.#open.delete(node);
    this.#known.set(node, found);
    return found;
  }

  /** The branches of a oneOf, where no value satisfies two of them. */
  #disjoint(node: SchemaNode, branches: readonly SchemaNode[]): readonly SchemaNode[] {
    for (const [i, first] of branches.entries()) {
      for (const [j, second] of branches.slice(0, i).entries()) {
        if (this.#isNothing([first, second], MAX_PROOF)) continue;
        throw unsupported(
          node.pointer,
          'oneOf',
          `where one value may satisfy two schemas, here ${j} and ${i}; write anyOf`,
        );
      }
    }
    return branches;
  }

  #meet(a: readonly Alternative[], b: readonly Alternative[], node: SchemaNode): readonly Alternative[] {
    if (a === ANYTHING) return b;
    if (b === ANYTHING) return a;
    this.#automata.spend(a.length * b.length);
    const common: Alternative[] = [];
    for (const left of a) {
      for (const right of b) {
        const both = this.#both(left, right);
        if (both !== null) common.push(both);
        if (common.length > MAX_ALTERNATIVES) {
          throw new StarlingError(
            'unsupported_parameter',
            `the schema at ${node.pointer} comes to more than ${MAX_ALTERNATIVES} alternatives; combine fewer with allOf`,
            { param: node.pointer },
          );
        }
      }
    }
    return common;
  }

  /** What satisfies two alternatives; null where that is nothing, as far as can be seen at once. */
  #both(a: Alternative, b: Alternative): Alternative | null {
    if (a.kind === 'literal') return this.#holds(b, a.value) ? a : null;
    if (b.kind === 'literal') return this.#holds(a, b.value) ? b : null;
    switch (a.kind) {
      case 'null':
      case 'boolean':
        return a.kind === b.kind ? a : null;
      case 'number':
        if (b.kind !== 'number') return null;
        return {
          kind: 'number',
          isInteger: a.isInteger || b.isInteger,
          lower: [...a.lower, ...b.lower],
          upper: [...a.upper, ...b.upper],
          multiples: [...a.multiples, ...b.multiples],
        };
      case 'string':
        return b.kind === 'string' ? { ...a, ...tighter(a, b), automata: [...a.automata, ...b.automata] } : null;
      case 'array':
        return b.kind === 'array' ? { ...a, ...tighter(a, b), parts: [...a.parts, ...b.parts] } : null;
      case 'object':
        if (b.kind !== 'object') return null;
        return {
          kind: 'object',
          ...tighter(a, b),
          parts: [...a.parts, ...b.parts],
          required: new Set([...a.required, ...b.required]),
          names: [...a.names, ...b.names],
        };
    }
  }

  #holds(alternative: Alternative, value: Json): boolean {
    this.#automata.spend(1);
    switch (alternative.kind) {
      case 'literal':
        return isSame(alternative.value, value);
      case 'null':
        return value === null;
      case 'boolean':
        return typeof value === 'boolean';
      case 'number':
        return typeof value === 'number' && holdsForNumber(alternative, value);
      case 'string': {
        if (typeof value !== 'string') return false;
        return (
          isCount(alternative, [...value].length) &&
          alternative.automata.every((each) => this.#automata.matches(each, value))
        );
      }
      case 'array':
        return (
          isList(value) &&
          isCount(alternative, value.length) &&
          value.every((element, i) => this.admits(elementNodes(alternative.parts, i), element)) &&
          alternative.parts.every(({ contains }) =>
            contains.every(({ node, min }) => value.filter((element) => this.admits([node], element)).length >= min),
          )
        );
      case 'object':
        return (
          isObject(value) &&
          isCount(alternative, Object.keys(value).length) &&
          [...alternative.required].every((name) => Object.hasOwn(value, name)) &&
          Object.entries(value).every(
            ([name, inner]) =>
              this.admits(alternative.names, name) && this.admits(this.ofProperty(alternative.parts, name), inner),
          )
        );
    }
  }

  /** Whether it is certain that no value satisfies all of the schemas. */
  #isNothing(nodes: readonly SchemaNode[], depth: number): boolean {
    return this.of(nodes).every((alternative) => this.#isVoid(alternative, depth));
  }

  #isVoid(alternative: Alternative, depth: number): boolean {
    switch (alternative.kind) {
      case 'literal':
      case 'null':
      case 'boolean':
        return false;
      case 'number':
        return isEmpty(numberAutomaton(this.#automata, alternative));
      case 'string': {
        const { min, max, automata } = alternative;
        return min > max || (automata.length > 0 && isEmpty(stringAutomaton(this.#automata, alternative)));
      }
      case 'array': {
        const { min, max, parts } = alternative;
        if (min > max) return true;
        const looked = Math.min(min, 1 + Math.max(0, ...parts.map(({ prefix }) => prefix.length)));
        for (let i = 0; depth > 0 && i < looked; i++) {
          if (this.#isNothing(elementNodes(parts, i), depth - 1)) return true;
        }
        return false;
      }
      case 'object': {
        const { min, max, required, parts } = alternative;
        if (min > max || required.size > max) return true;
        return depth > 0 && [...required].some((name) => this.#isNothing(this.ofProperty(parts, name), depth - 1));
      }
    }
  }
}

/** The schemas of an element. */
export function elementNodes(parts: readonly ElementRules[], index: number): readonly SchemaNode[] {
  return parts.flatMap(({ prefix, items }) => prefix[index] ?? items ?? []);
}

function ownAlternatives({ types, numbers, strings, elements, properties }: SchemaNode): readonly Alternative[] {
  const all: readonly Alternative[] = [
    { kind: 'null' },
    { kind: 'boolean' },
    { kind: 'number', ...numbers },
    { kind: 'string', ...strings },
    { kind: 'array', min: elements.min, max: elements.max, parts: [elements] },
    {
      kind: 'object',
      min: properties.min,
      max: properties.max,
      parts: [properties],
      required: new Set(properties.required),
      names: properties.names === null ? [] : [properties.names],
    },
  ];
  return all.filter(({ kind }) => kind !== 'literal' && types.has(kind));
}

/** Of a schema that says nothing. */
const ANYTHING: readonly Alternative[] = [
  { kind: 'null' },
  { kind: 'boolean' },
  { kind: 'number', isInteger: false, lower: [], upper: [], multiples: [] },
  { kind: 'string', min: 0, max: Number.POSITIVE_INFINITY, automata: [] },
  { kind: 'array', min: 0, max: Number.POSITIVE_INFINITY, parts: [] },
  { kind: 'object', min: 0, max: Number.POSITIVE_INFINITY, parts: [], required: new Set(), names: [] },
];

function holdsForNumber({ isInteger, lower, upper, multiples }: NumberRules, value: number): boolean {
  return (
    (!isInteger || Number.isInteger(value)) &&
    lower.every((bound) => (bound.exclusive ? value > bound.value : value >= bound.value)) &&
    upper.every((bound) => (bound.exclusive ? value < bound.value : value <= bound.value)) &&
    multiples.every((of) => value % of === 0)
  );
}

const isCount = ({ min, max }: Counts, count: number): boolean => min <= count && count <= max;

const tighter = (a: Counts, b: Counts): Counts => ({ min: Math.max(a.min, b.min), max: Math.min(a.max, b.max) });
