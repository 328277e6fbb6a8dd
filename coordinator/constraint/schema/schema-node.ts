import type { CharacterAutomaton } from '../character-automaton.ts';
import type { Bound } from '../decimal-range.ts';
import type { Json } from '../json-grammar.ts';

export type ValueType = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object';

/** How many characters, elements or properties; `max` may be infinite. */
export interface Counts {
  readonly min: number;
  readonly max: number;
}

/** What a schema says of numbers. */
export interface NumberRules {
  readonly isInteger: boolean;
  readonly lower: readonly Bound[];
  readonly upper: readonly Bound[];
  readonly multiples: readonly number[];
}

export interface StringRules extends Counts {
  /** All of which the text is in. */
  readonly automata: readonly CharacterAutomaton[];
}

export interface ElementRules {
  /** Of the first elements, one each, */
  readonly prefix: readonly SchemaNode[];
  /** and of those after them; null for any. */
  readonly items: SchemaNode | null;
  /** Schemas that hold for at least so many. */
  readonly contains: readonly { readonly node: SchemaNode; readonly min: number }[];
}

export interface PropertyRules {
  readonly properties: ReadonlyMap<string, SchemaNode>;
  readonly patterns: readonly { readonly names: CharacterAutomaton; readonly node: SchemaNode }[];
  /** Of the properties that are neither; null for any. */
  readonly others: SchemaNode | null;
}

/** A schema, read and checked. All that is there must hold. */
export interface SchemaNode {
  readonly id: number;
  /** JSON pointer, as a fragment. */
  readonly pointer: string;
  /** Whether a value of these types may be there at all. */
  types: ReadonlySet<ValueType>;
  literals: readonly Json[] | null;
  numbers: NumberRules;
  strings: StringRules;
  elements: ElementRules & Counts;
  properties: PropertyRules & Counts & { readonly required: readonly string[]; readonly names: SchemaNode | null };
  /** Schemas that hold as well. */
  all: readonly SchemaNode[];
  /** Lists of schemas of which one must hold, */
  any: readonly SchemaNode[] | null;
  /** and of which exactly one must. */
  one: readonly SchemaNode[] | null;
}

export const ALL_TYPES: ReadonlySet<ValueType> = new Set(['null', 'boolean', 'number', 'string', 'array', 'object']);
const ANY_COUNT: Counts = { min: 0, max: Number.POSITIVE_INFINITY };

/** A schema that says nothing yet. */
export function newNode(id: number, pointer: string): SchemaNode {
  return {
    id,
    pointer,
    types: ALL_TYPES,
    literals: null,
    numbers: { isInteger: false, lower: [], upper: [], multiples: [] },
    strings: { ...ANY_COUNT, automata: [] },
    elements: { ...ANY_COUNT, prefix: [], items: null, contains: [] },
    properties: { ...ANY_COUNT, properties: new Map(), patterns: [], others: null, required: [], names: null },
    all: [],
    any: null,
    one: null,
  };
}
