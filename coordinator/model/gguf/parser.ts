import { describeForeign, FOREIGN_BYTES } from './foreign-file.ts';
import type { HeaderSource } from './header-source.ts';
import { LIMITS } from './limits.ts';
import type { MetadataValue } from './metadata.ts';
import { shown } from './shown.ts';
import { REMOVED_TENSOR_TYPES, type TensorType, tensorTypeById } from './tensor-types.ts';
import { readName, readValue } from './values.ts';

/** A tensor as the header lists it. */
export interface TensorEntry {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
  /** Bytes from the start of the file's tensor data. */
  readonly offset: number;
  readonly byteLength: number;
}

/** The header of one GGUF file. */
export interface Header {
  readonly version: number;
  readonly values: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly TensorEntry[];
  readonly alignment: number;
  readonly headerBytes: number;
  /** Where the tensor data begins: the header's end, rounded up to the alignment. */
  readonly dataStart: number;
}

const MAGIC = 0x46554747;
const VERSIONS: readonly number[] = [2, 3];
const DEFAULT_ALIGNMENT = 32;

/**
 * Reads the header of a GGUF file (version 2 or 3, little endian): counts, metadata, tensor entries.
 * @throws StarlingError model_not_gguf, model_unsupported_version, model_truncated, model_invalid,
 *   model_unsupported_tensor_type (a type that ggml does not have), model_file_unreadable
 */
export async function parseHeader(source: HeaderSource): Promise<Header> {
  const version = await readVersion(source);
  await source.fill(16, 'the counts of tensors and keys');
  const tensorCount = source.u64();
  const keyCount = source.u64();
  if (!source.budget.spend('keys', keyCount)) {
    throw source.fail(
      'model_invalid',
      `claims ${keyCount} metadata keys, above the limit of ${LIMITS.keys}; it is damaged`,
    );
  }
  if (!source.budget.spend('tensors', tensorCount)) {
    throw source.fail(
      'model_invalid',
      `claims ${tensorCount} tensors, above the limit of ${LIMITS.tensors}; it is damaged`,
    );
  }

  const values = new Map<string, MetadataValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = await readName(source, `metadata key ${i} of ${keyCount}`);
    if (values.has(key)) throw source.fail('model_invalid', `the metadata key ${shown(key)} appears twice`);
    const what = `the metadata key ${shown(key)}`;
    if (source.available < 4) await source.fill(4, what);
    values.set(key, await readValue(source, source.u32(), what));
  }
  const alignment = readAlignment(source, values);

  const names = new Set<string>();
  const tensors: TensorEntry[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const tensor = await readTensorEntry(source, `tensor ${i} of ${tensorCount}`);
    if (names.has(tensor.name)) throw source.fail('model_invalid', `the tensor ${shown(tensor.name)} appears twice`);
    names.add(tensor.name);
    tensors.push(tensor);
  }

  const headerBytes = source.position;
  const dataStart = Math.ceil(headerBytes / alignment) * alignment;
  source.finish();
  return { version, values, tensors, alignment, headerBytes, dataStart };
}

async function readVersion(source: HeaderSource): Promise<number> {
  const beginning = await source.peek(FOREIGN_BYTES);
  if (beginning.length < 4 || source.u32() !== MAGIC) {
    throw source.fail('model_not_gguf', describeForeign(beginning));
  }
  await source.fill(4, 'the version');
  const version = source.u32();
  if (VERSIONS.includes(version)) return version;
  const swapped = ((version & 0xff) << 24) | ((version & 0xff00) << 8) | ((version >>> 8) & 0xff00) | (version >>> 24);
  if (swapped >= 1 && swapped <= 255) {
    throw source.fail(
      'model_unsupported_version',
      'the file is big endian GGUF, which is not supported; get the little endian file, or convert it with gguf_convert_endian',
    );
  }
  throw source.fail(
    'model_unsupported_version',
    `the file is GGUF version ${version}; versions ${VERSIONS.join(' and ')} are supported, so convert the model again or update Starling`,
  );
}

function readAlignment(source: HeaderSource, values: ReadonlyMap<string, MetadataValue>): number {
  const key = 'general.alignment';
  const found = values.get(key);
  if (found === undefined) return DEFAULT_ALIGNMENT;
  const value = found.kind === 'number' ? found.value : 0;
  if (!Number.isInteger(value) || value < 1 || value > LIMITS.alignment || (value & (value - 1)) !== 0) {
    throw source.fail(
      'model_invalid',
      `the metadata key ${key} is ${found.kind === 'number' ? value : `of the kind ${found.kind}`}; it must be a power of two up to ${LIMITS.alignment}`,
      key,
    );
  }
  return value;
}

async function readTensorEntry(source: HeaderSource, which: string): Promise<TensorEntry> {
  const name = await readName(source, `the name of ${which}`);
  const what = `${which}, ${shown(name)}`;
  if (source.available < 4) await source.fill(4, what);
  const dimCount = source.u32();
  if (dimCount < 1 || dimCount > LIMITS.dims) {
    throw source.fail('model_invalid', `${what} has ${dimCount} dimensions; 1 to ${LIMITS.dims} are possible`);
  }
  const rest = dimCount * 8 + 12;
  if (source.available < rest) await source.fill(rest, what);
  const dims: number[] = [];
  let count = 1;
  for (let i = 0; i < dimCount; i++) {
    const dim = source.u64();
    count *= dim;
    if (dim < 1 || count > Number.MAX_SAFE_INTEGER) {
      throw source.fail('model_invalid', `${what} has an impossible size ${dim} in dimension ${i}`);
    }
    dims.push(dim);
  }
  const typeId = source.u32();
  const type = tensorTypeById(typeId);
  if (type === undefined) {
    const removed = REMOVED_TENSOR_TYPES.get(typeId);
    const hint = removed
      ? `${removed}, which is no longer part of GGUF; get the model as Q4_0`
      : `${typeId}, which is unknown; the file is damaged, or too new for this version of Starling`;
    throw source.fail('model_unsupported_tensor_type', `${what} has the type ${hint}`);
  }
  const columns = dims[0] ?? 0;
  if (columns % type.blockValues !== 0) {
    throw source.fail(
      'model_invalid',
      `${what} has rows of ${columns} values, no multiple of the ${type.blockValues} of a ${type.name} block`,
    );
  }
  const byteLength = (count / type.blockValues) * type.blockBytes;
  const offset = source.u64();
  if (!Number.isSafeInteger(byteLength) || !Number.isSafeInteger(offset)) {
    throw source.fail('model_invalid', `${what} has an impossible size or offset`);
  }
  return { name, type, dims, offset, byteLength };
}
