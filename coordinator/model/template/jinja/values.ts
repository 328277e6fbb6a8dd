import { TemplateError } from './errors.ts';
import { isStr, raw, type Str, Text } from './text.ts';

/*
 * What a template computes with: Python's None, bool, int, float, str and list are null, boolean, bigint, number, Str
 * and arrays; the other types are the classes below.
 */
export type Value = null | boolean | bigint | number | Str | Value[] | Tuple | Dict | PythonObject;

/** Items of one list: more than any conversation has. */
const MAX_ITEMS = 1 << 20;

export interface Call {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Anything with attributes of its own. */
export abstract class PythonObject {
  /** Python's name of the type, for messages. */
  abstract readonly typeName: string;

  /** An attribute, or undefined where there is none. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  repr(): Str {
    throw new TemplateError(`a ${this.typeName} cannot be printed; give its items to a filter such as list or join`);
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Names of items, for the tuples of groupby. */
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** A dict; keys are alike when Python says that they are equal. */
export class Dict {
  readonly #entries = new Map<string, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(hashKey(key));
  }

  /** The first key of equals stays, as in Python. */
  set(key: Value, value: Value): void {
    const hash = hashKey(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  keys(): Value[] {
    return Array.from(this.#entries.values(), ([key]) => key);
  }

  values(): Value[] {
    return Array.from(this.#entries.values(), ([, value]) => value);
  }
}

/** dict.keys(), values() and items(). */
export class DictView extends PythonObject {
  readonly typeName: string;
  readonly dict: Dict;
  readonly #kind: 'keys' | 'values' | 'items';

  constructor(dict: Dict, kind: 'keys' | 'values' | 'items') {
    super();
    this.dict = dict;
    this.#kind = kind;
    this.typeName = `dict_${kind}`;
  }

  items(): Value[] {
    if (this.#kind === 'keys') return this.dict.keys();
    if (this.#kind === 'values') return this.dict.values();
    return Array.from(this.dict.entries(), (entry) => new Tuple(entry));
  }
}

export class Range extends PythonObject {
  readonly typeName = 'range';
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  readonly length: number;

  /** @throws TemplateError when step is 0 or there are more than 100,000 numbers, the reference's own limit */
  constructor(start: bigint, stop: bigint, step: bigint) {
    super();
    if (step === 0n) throw new TemplateError('range() arg 3 must not be zero');
    const span = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    const length = span <= 0n ? 0n : (span + stride - 1n) / stride;
    if (length > 100_000n) throw new TemplateError('Range too big. The sandbox blocks ranges larger than 100000.');
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.length = Number(length);
  }

  items(): bigint[] {
    return Array.from({ length: this.length }, (_, index) => this.start + BigInt(index) * this.step);
  }

  override attribute(name: string): Value | undefined {
    if (name === 'start' || name === 'stop' || name === 'step') return this[name];
    return undefined;
  }

  override repr(): Str {
    return `range(${this.start}, ${this.stop}${this.step === 1n ? '' : `, ${this.step}`})`;
  }
}

/** An iterator, which gives each of its items once. */
export class Lazy extends PythonObject {
  readonly typeName = 'generator';
  readonly iterator: Iterator<Value>;

  constructor(items: Iterable<Value>) {
    super();
    this.iterator = items[Symbol.iterator]();
  }
}

/** A function, macro or bound method. */
export class Callable extends PythonObject {
  readonly typeName: string = 'function';
  readonly name: string;
  readonly call: (call: Call) => Value;

  constructor(name: string, call: (call: Call) => Value) {
    super();
    this.name = name;
    this.call = call;
  }
}

export class Namespace extends PythonObject {
  readonly typeName = 'Namespace';
  readonly values = new Map<string, Value>();

  override attribute(name: string): Value | undefined {
    return this.values.get(name);
  }
}

/** What does not exist: prints nothing and has no items, everything else with it is an error. */
export class Undefined extends PythonObject {
  readonly typeName = 'Undefined';
  readonly #message: string;

  constructor(message: string) {
    super();
    this.#message = message;
  }

  static variable(name: string): Undefined {
    return new Undefined(`'${name}' is undefined`);
  }

  static attribute(owner: Value, name: string): Undefined {
    return new Undefined(`'${objectName(owner)}' has no attribute '${name}'`);
  }

  fail(): never {
    throw new TemplateError(this.#message);
  }

  override repr(): Str {
    return 'Undefined';
  }
}

function objectName(owner: Value): string {
  return owner === null ? 'None' : `${typeName(owner)} object`;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (value instanceof Text && value.markup) return 'Markup';
  if (isStr(value)) return 'str';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  return value.typeName;
}

/** A value, or else another; unlike with `??`, None is a value. */
export function orElse(value: Value | undefined, otherwise: () => Value): Value {
  return value === undefined ? otherwise() : value;
}

/** Python's bool(). */
export function truthy(value: Value): boolean {
  if (value === null || typeof value === 'boolean') return value === true;
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (isStr(value)) return raw(value) !== '';
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof DictView) return value.dict.size > 0;
  return !(value instanceof Undefined);
}

/** A text that equal keys share. */
function hashKey(key: Value): string {
  if (isStr(key)) return `s${raw(key)}`;
  if (key === null) return 'None';
  if (typeof key === 'boolean') return key ? 'n1' : 'n0';
  if (typeof key === 'bigint') return `n${key}`;
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `n${key}`;
  if (key instanceof Tuple) return `t${JSON.stringify(key.items.map(hashKey))}`;
  if (key instanceof Undefined) return 'undefined';
  throw new TemplateError(`unhashable type: '${typeName(key)}'`);
}

/** @throws TemplateError for a list that is longer than any conversation */
export function checkItems(count: number): void {
  if (!(count <= MAX_ITEMS)) {
    throw new TemplateError(`a list of ${count} items; at most ${MAX_ITEMS} are allowed here`);
  }
}
