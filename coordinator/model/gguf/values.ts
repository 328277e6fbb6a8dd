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
 * Reads a value of the given type. One whose length is known but that nobody would read, as it is larger than any that
 * is used or not what its type says, is passed over and comes as `unread`: it may belong to another program.
 * @param what for messages: the key it belongs to
 * @throws StarlingError model_invalid (unknown type, arrays beyond a limit), model_truncated
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
      return readBoolean(source.u8());
    case VALUE_TYPE.string:
      return readString(source, what);
    default:
      return readArray(source, what, depth + 1);
  }
}

/**
 * Reads a name: its length as u64, then so many bytes of UTF-8. One that is not UTF-8 is taken as Latin-1, so that
 * different names stay different and none looks like one that is known.
 * @throws StarlingError model_invalid (longer than the limit), model_truncated
 */
export async function readName(source: HeaderSource, what: string): Promise<string> {
  if (source.available < 8) await source.fill(8, what);
  const length = source.u64();
  if (length > LIMITS.nameBytes) throw tooMany(source, `${what} claims ${length} bytes of text`, LIMITS.nameBytes);
  const bytes = await source.peek(length);
  if (bytes.length < length) source.expect(length, what);
  return source.text(length) ?? Buffer.from(bytes).toString('latin1');
}

async function readString(source: HeaderSource, what: string): Promise<MetadataValue> {
  if (source.available < 8) await source.fill(8, what);
  const length = source.u64();
  if (length > LIMITS.stringBytes) {
    await source.skip(length, what);
    return unread(`has ${length} bytes of text, and at most ${LIMITS.stringBytes} are read`);
  }
  if (source.available < length) await source.fill(length, what);
  const value = source.text(length);
  return value === null ? unread('is not UTF-8 text') : { kind: 'string', value };
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
  // Before anything is allocated: a count that lies must not cost more than the file could hold.
  source.expect(count * bytes, what);
  const inItems = type === VALUE_TYPE.string || type === VALUE_TYPE.bool;
  const fits = count <= LIMITS.arrayValues && (!inItems || source.budget.spend('arrayItems', count));
  if (type === VALUE_TYPE.string) return readStrings(source, count, fits, what);
  if (!fits && type !== VALUE_TYPE.array) {
    await source.skip(count * bytes, what);
    return unreadArray(count);
  }

  switch (type) {
    case VALUE_TYPE.array: {
      const value: MetadataValue[] = [];
      for (let i = 0; i < count; i++) value.push(await readValue(source, type, what, depth));
      return { kind: 'arrays', value };
    }
    case VALUE_TYPE.bool: {
      const raw = new Uint8Array(count);
      await source.bytes(raw, what);
      if (raw.some((byte) => byte > 1)) return NO_BOOLEAN;
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

/** @param fits false when there are too many to keep */
async function readStrings(source: HeaderSource, count: number, fits: boolean, what: string): Promise<MetadataValue> {
  const value = new Array<string>(fits ? count : 0);
  let flaw = fits ? null : unreadArray(count);
  for (let i = 0; i < count; i++) {
    // As readString, without its promise: vocabularies and merges have hundreds of thousands of entries.
    if (source.available < 8) await source.fill(8, what);
    const length = source.u64();
    if (flaw === null && length > LIMITS.stringBytes) {
      flaw = unread(`has ${length} bytes of text in entry ${i}, and at most ${LIMITS.stringBytes} are read`);
    }
    if (flaw !== null) {
      if (source.available < length) await source.skip(length, what);
      else source.text(length);
      continue;
    }
    if (source.available < length) await source.fill(length, what);
    const text = source.text(length);
    if (text === null) flaw = unread(`is not UTF-8 text in entry ${i}`);
    else value[i] = text;
  }
  return flaw ?? { kind: 'strings', value };
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

function readBoolean(byte: number): MetadataValue {
  return byte > 1 ? NO_BOOLEAN : { kind: 'boolean', value: byte === 1 };
}

function integer64(value: bigint): MetadataValue {
  return isExact(value) ? { kind: 'number', value: Number(value) } : { kind: 'bigint', value };
}

function isExact(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

const unread = (value: string): MetadataValue => ({ kind: 'unread', value });

const unreadArray = (count: number): MetadataValue => unread(`has ${count} entries, more than are read`);

const NO_BOOLEAN = unread('has a boolean that is neither 0 nor 1');

const tooMany = (source: HeaderSource, claim: string, limit: number) =>
  source.fail('model_invalid', `${claim}, and at most ${limit} are read; the file is damaged`);
