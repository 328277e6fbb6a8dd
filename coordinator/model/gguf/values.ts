import type { HeaderSource } from './header-source.ts';
import { LIMITS } from './limits.ts';
import type { MetadataValue, NumberArray } from './metadata.ts';

/** The numbers of GGUF's value types. */
export const VALUE_TYPE = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

/** Bytes of one value; for strings and arrays the fewest they can have (a length; a type and a count). */
const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

/**
 * Reads a value of the given type.
 * @param what for messages: the key it belongs to
 * @throws StarlingError model_invalid (unknown type, beyond a limit), model_truncated
 */
export async function readValue(source: HeaderSource, type: number, what: string, depth = 0): Promise<MetadataValue> {
  const bytes = VALUE_BYTES[type];
  if (bytes === undefined) {
    throw source.fail('model_invalid', `${what} has the unknown value type ${type}; the file is damaged or too new`);
  }
  if (source.available < bytes) await source.fill(bytes, what);
  switch (type) {
    case VALUE_TYPE.uint8:
      return { kind: 'number', value: source.u8() };
    case VALUE_TYPE.int8:
      return { kind: 'number', value: source.i8() };
    case VALUE_TYPE.uint16:
      return { kind: 'number', value: source.u16() };
    case VALUE_TYPE.int16:
      return { kind: 'number', value: source.i16() };
    case VALUE_TYPE.uint32:
      return { kind: 'number', value: source.u32() };
    case VALUE_TYPE.int32:
      return { kind: 'number', value: source.i32() };
    case VALUE_TYPE.float32:
      return { kind: 'number', value: source.f32() };
    case VALUE_TYPE.float64:
      return { kind: 'number', value: source.f64() };
    case VALUE_TYPE.uint64:
      return integer64(source.bigU64());
    case VALUE_TYPE.int64:
      return integer64(source.bigI64());
    case VALUE_TYPE.bool:
      return { kind: 'boolean', value: readBoolean(source, what) };
    case VALUE_TYPE.string:
      return { kind: 'string', value: await readString(source, LIMITS.stringBytes, what) };
    default:
      return readArray(source, what, depth + 1);
  }
}

/**
 * Reads a string: its length as u64, then so many bytes of UTF-8.
 * @throws StarlingError model_invalid (longer than `maxBytes`, not UTF-8), model_truncated
 */
export async function readString(source: HeaderSource, maxBytes: number, what: string): Promise<string> {
  if (source.available < 8) await source.fill(8, what);
  const length = source.u64();
  if (length > maxBytes) throw tooMany(source, `${what} claims ${length} bytes of text`, maxBytes);
  if (source.available < length) await source.fill(length, what);
  return source.text(length, what);
}

async function readArray(source: HeaderSource, what: string, depth: number): Promise<MetadataValue> {
  if (depth > LIMITS.nesting) throw tooMany(source, `${what} nests arrays ${depth} deep`, LIMITS.nesting);
  if (!source.budget.spend('arrays', 1)) throw tooMany(source, `${what} holds too many arrays`, LIMITS.arrays);
  const type = source.u32();
  const count = source.u64();
  const bytes = VALUE_BYTES[type];
  if (bytes === undefined) {
    throw source.fail('model_invalid', `${what} is an array of the unknown value type ${type}; the file is damaged`);
  }
  if (count > LIMITS.arrayValues) throw tooMany(source, `${what} claims ${count} values`, LIMITS.arrayValues);
  // Before anything is allocated: a count that lies must not cost more than the file could hold.
  source.expect(count * bytes, what);

  switch (type) {
    case VALUE_TYPE.array: {
      const value: MetadataValue[] = [];
      for (let i = 0; i < count; i++) value.push(await readValue(source, type, what, depth));
      return { kind: 'arrays', value };
    }
    case VALUE_TYPE.string:
      spendItems(source, count, what);
      return { kind: 'strings', value: await readStrings(source, count, what) };
    case VALUE_TYPE.bool: {
      spendItems(source, count, what);
      const raw = new Uint8Array(count);
      await source.bytes(raw, what);
      if (raw.some((byte) => byte > 1)) throw badBoolean(source, what);
      return { kind: 'booleans', value: Array.from(raw, (byte) => byte === 1) };
    }
    case VALUE_TYPE.uint64:
    case VALUE_TYPE.int64: {
      const value = type === VALUE_TYPE.uint64 ? new BigUint64Array(count) : new BigInt64Array(count);
      await source.bytes(new Uint8Array(value.buffer), what);
      for (const item of value) if (!isExact(item)) return { kind: 'bigints', value };
      return { kind: 'numbers', value: Float64Array.from(value, Number) };
    }
    default: {
      const value = numberArray(type, count);
      await source.bytes(new Uint8Array(value.buffer), what);
      return { kind: 'numbers', value };
    }
  }
}

async function readStrings(source: HeaderSource, count: number, what: string): Promise<string[]> {
  const strings = new Array<string>(count);
  for (let i = 0; i < count; i++) {
    // As readString, without its promise: vocabularies and merges have hundreds of thousands of entries.
    if (source.available < 8) await source.fill(8, what);
    const length = source.u64();
    if (length > LIMITS.stringBytes) {
      throw tooMany(source, `${what}[${i}] claims ${length} bytes of text`, LIMITS.stringBytes);
    }
    if (source.available < length) await source.fill(length, what);
    strings[i] = source.text(length, what);
  }
  return strings;
}

/** Zeroed; GGUF and every processor that Node runs on with a supported build are little endian. */
function numberArray(type: number, count: number): NumberArray {
  switch (type) {
    case VALUE_TYPE.uint8:
      return new Uint8Array(count);
    case VALUE_TYPE.int8:
      return new Int8Array(count);
    case VALUE_TYPE.uint16:
      return new Uint16Array(count);
    case VALUE_TYPE.int16:
      return new Int16Array(count);
    case VALUE_TYPE.uint32:
      return new Uint32Array(count);
    case VALUE_TYPE.int32:
      return new Int32Array(count);
    case VALUE_TYPE.float32:
      return new Float32Array(count);
    default:
      return new Float64Array(count);
  }
}

function readBoolean(source: HeaderSource, what: string): boolean {
  const byte = source.u8();
  if (byte > 1) throw badBoolean(source, what);
  return byte === 1;
}

function integer64(value: bigint): MetadataValue {
  return isExact(value) ? { kind: 'number', value: Number(value) } : { kind: 'bigint', value };
}

function isExact(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

function spendItems(source: HeaderSource, count: number, what: string): void {
  if (!source.budget.spend('arrayItems', count)) {
    throw tooMany(source, `${what} brings the strings and booleans in arrays above the limit`, LIMITS.arrayItems);
  }
}

const badBoolean = (source: HeaderSource, what: string) =>
  source.fail('model_invalid', `${what} has a boolean that is neither 0 nor 1; the file is damaged`);

const tooMany = (source: HeaderSource, claim: string, limit: number) =>
  source.fail('model_invalid', `${claim}, and at most ${limit} are read; the file is damaged`);
