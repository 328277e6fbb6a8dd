import { StarlingError } from '../../../daemon/errors.ts';

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/**
 * A metadata value as stored. 64-bit integers are numbers where every one of them is exact as such, else bigints
 * (which no known key needs, and which the typed getters therefore refuse).
 */
export type MetadataValue =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'bigint'; readonly value: bigint }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'numbers'; readonly value: NumberArray }
  | { readonly kind: 'bigints'; readonly value: BigInt64Array | BigUint64Array }
  | { readonly kind: 'booleans'; readonly value: readonly boolean[] }
  | { readonly kind: 'arrays'; readonly value: readonly MetadataValue[] }
  /** Passed over, as it is larger or stranger than anything that is read; `value` says how it is. */
  | { readonly kind: 'unread'; readonly value: string };

type Kind = MetadataValue['kind'];
type Values = { [V in MetadataValue as V['kind']]: V['value'] };

const KIND_NAMES: Readonly<Record<Kind, string>> = {
  string: 'a string',
  number: 'a number',
  bigint: 'an integer beyond 2^53',
  boolean: 'true or false',
  strings: 'an array of strings',
  numbers: 'an array of numbers',
  bigints: 'an array of integers beyond 2^53',
  booleans: 'an array of booleans',
  arrays: 'an array of arrays',
  unread: 'unread',
};

/**
 * The metadata of a model file. Getters throw StarlingError model_invalid, naming file and key, when the value has
 * another type or was passed over, or is missing and no fallback was given; pass null as the fallback for "may be
 * absent".
 */
export class Metadata {
  readonly #path: string;
  readonly #values: ReadonlyMap<string, MetadataValue>;

  constructor(path: string, values: ReadonlyMap<string, MetadataValue>) {
    this.#path = path;
    this.#values = values;
  }

  get size(): number {
    return this.#values.size;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** The value with its type, for keys whose type may vary. */
  get(key: string): MetadataValue | undefined {
    return this.#values.get(key);
  }

  string(key: string): string;
  string<D extends string | null>(key: string, fallback: D): string | D;
  string(key: string, fallback?: string | null): string | null {
    return this.#as('string', key, fallback);
  }

  number(key: string): number;
  number<D extends number | null>(key: string, fallback: D): number | D;
  number(key: string, fallback?: number | null): number | null {
    return this.#as('number', key, fallback);
  }

  boolean(key: string): boolean;
  boolean<D extends boolean | null>(key: string, fallback: D): boolean | D;
  boolean(key: string, fallback?: boolean | null): boolean | null {
    return this.#as('boolean', key, fallback);
  }

  strings(key: string): readonly string[];
  strings<D extends readonly string[] | null>(key: string, fallback: D): readonly string[] | D;
  strings(key: string, fallback?: readonly string[] | null): readonly string[] | null {
    return this.#as('strings', key, fallback);
  }

  /** In the file's own width: an Int32Array for an array of int32, and so on; 64-bit integers as a Float64Array. */
  numbers(key: string): NumberArray;
  numbers<D extends NumberArray | null>(key: string, fallback: D): NumberArray | D;
  numbers(key: string, fallback?: NumberArray | null): NumberArray | null {
    return this.#as('numbers', key, fallback);
  }

  #as<K extends Kind>(kind: K, key: string, fallback: Values[K] | null | undefined): Values[K] | null {
    const found = this.#values.get(key);
    if (found === undefined) {
      if (fallback !== undefined) return fallback;
      throw new StarlingError(
        'model_invalid',
        `${this.#path}: the metadata key ${key} is missing, so this file is not a complete model; convert or download it again`,
        { param: key },
      );
    }
    if (found.kind === 'unread') {
      throw new StarlingError(
        'model_invalid',
        `${this.#path}: the metadata key ${key} ${found.value}; convert or download the file again`,
        { param: key },
      );
    }
    if (found.kind !== kind) {
      throw new StarlingError(
        'model_invalid',
        `${this.#path}: the metadata key ${key} is ${KIND_NAMES[found.kind]} where ${KIND_NAMES[kind]} is expected; convert or download the file again`,
        { param: key },
      );
    }
    return found.value as Values[K];
  }
}
