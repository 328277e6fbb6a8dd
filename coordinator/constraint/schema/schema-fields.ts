import { StarlingError } from '../../../daemon/errors.ts';
import type { Automata } from '../automata.ts';
import type { CharacterAutomaton } from '../character-automaton.ts';
import type { Bound } from '../decimal-range.ts';
import { isList, type Json } from '../json-grammar.ts';
import { partMatch, wholeMatch } from '../regex.ts';
import { FORMATS, NUMBER_FORMATS } from './formats.ts';
import { isObject, type JsonObject } from './json-values.ts';
import { invalid, unsupported } from './schema-errors.ts';
import { ALL_TYPES, type Counts, type ValueType } from './schema-node.ts';

const MAX_COUNT = 10_000;
const MAX_MULTIPLE = 1000;

/** The values of one schema's keywords, checked. */
export class SchemaFields {
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

  /** Of how many elements `contains` has to hold at least. */
  least(): number {
    const { min } = this.counts('minContains', '');
    return this.#schema.minContains === undefined ? 1 : min;
  }

  isNullable(): boolean {
    const value = this.#schema.nullable ?? false;
    if (typeof value !== 'boolean') throw invalid(`${this.#pointer}/nullable`, 'is neither true nor false');
    return value;
  }

  /** Bounds that a format is for numbers. */
  formatBounds(side: 'lower' | 'upper'): readonly Bound[] {
    const bounds = NUMBER_FORMATS.get(String(this.#schema.format)) ?? null;
    return bounds === null ? [] : [{ value: bounds[side === 'lower' ? 0 : 1], exclusive: false }];
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
    const { pattern, format, allOf } = this.#schema;
    const automata: CharacterAutomaton[] = [];
    if (pattern !== undefined) automata.push(this.automaton('pattern', pattern));
    const known = FORMATS.get(String(format));
    if (known !== undefined) automata.push(this.#automata.once(`format ${format}`, () => wholeMatch(known)));
    // Beside a format of its own zod tells the pattern of it, or several.
    else if (
      format !== undefined &&
      pattern === undefined &&
      allOf === undefined &&
      !NUMBER_FORMATS.has(String(format))
    ) {
      throw unsupported(
        this.#pointer,
        'format',
        `${JSON.stringify(format)}; supported are ${[...FORMATS.keys(), ...NUMBER_FORMATS.keys()].join(', ')}`,
      );
    }
    return automata;
  }

  automaton(keyword: string, pattern: Json): CharacterAutomaton {
    if (typeof pattern !== 'string') throw invalid(`${this.#pointer}/${keyword}`, 'is no string');
    try {
      return this.#automata.once(`pattern ${pattern}`, () => partMatch(pattern));
    } catch (thrown) {
      if (!(thrown instanceof StarlingError)) throw thrown;
      const where = `${this.#pointer}/${keyword}`;
      throw new StarlingError(thrown.code, `the schema's ${where}: ${thrown.message}`, { param: where, cause: thrown });
    }
  }
}
