import { type FileHandle, open } from 'node:fs/promises';
import { partSuffix } from '../coordinator/model/gguf/split.ts';
import { tensorTypeByName } from '../coordinator/model/gguf/tensor-types.ts';
import { VALUE_TYPE } from '../coordinator/model/gguf/values.ts';

/** A metadata value and the type it is stored as. 64-bit integers are written from numbers, so up to 2^53. */
export type GgufValue =
  | {
      readonly type: 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'uint64' | 'int64';
      readonly value: number;
    }
  | { readonly type: 'float32' | 'float64'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly of: 'string'; readonly value: readonly string[] }
  | { readonly type: 'array'; readonly of: 'uint32' | 'int32' | 'float32'; readonly value: Iterable<number> };

export type GgufMetadata = Readonly<Record<string, GgufValue>>;

export interface GgufTensor {
  readonly name: string;
  /** ggml's name, such as "Q4_0". */
  readonly type: string;
  /** ggml order: columns first. */
  readonly dims: readonly number[];
  /**
   * Writes the tensor's bytes from `offset` on into all of `into`. Called front to back; each call starts and ends at a
   * block of the tensor's type, and `into` is 4-byte aligned.
   */
  fill(into: Uint8Array, offset: number): void;
  /** Leaves a hole in the file instead, which reads as zeros and takes no space. */
  readonly hole?: boolean;
}

export interface WriteGgufOptions {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
  /** More than 1: as many files, `name-00001-of-0000N.gguf` for a path `name.gguf`, with about equally many tensors. */
  readonly parts?: number;
  /** general.alignment, which is written when given. */
  readonly alignment?: number;
}

const DEFAULT_ALIGNMENT = 32;
const BUFFER_BYTES = 4 << 20;

/** Bytes of a tensor. @throws RangeError for a type that ggml does not have */
export function tensorBytes(tensor: Pick<GgufTensor, 'type' | 'dims'>): number {
  return (
    (tensor.dims.reduce((product, dim) => product * dim, 1) / typeOf(tensor).blockValues) * typeOf(tensor).blockBytes
  );
}

/**
 * Writes a GGUF v3 model, holding two buffers of a few MB and the header.
 * @returns the paths written
 */
export async function writeGguf(path: string, options: WriteGgufOptions): Promise<string[]> {
  const parts = options.parts ?? 1;
  const alignment = options.alignment ?? DEFAULT_ALIGNMENT;
  const aligned: GgufMetadata =
    options.alignment === undefined ? {} : { 'general.alignment': { type: 'uint32', value: alignment } };
  if (parts === 1) {
    await writeFile(path, { ...aligned, ...options.metadata }, options.tensors, alignment);
    return [path];
  }
  const paths: string[] = [];
  for (let part = 0; part < parts; part++) {
    const metadata: GgufMetadata = {
      ...aligned,
      ...(part === 0 ? options.metadata : {}),
      'split.no': { type: 'uint16', value: part },
      'split.count': { type: 'uint16', value: parts },
      'split.tensors.count': { type: 'int32', value: options.tensors.length },
    };
    const from = Math.floor((options.tensors.length * part) / parts);
    const to = Math.floor((options.tensors.length * (part + 1)) / parts);
    const partPath = path.replace(/\.gguf$/, '') + partSuffix(part, parts);
    await writeFile(partPath, metadata, options.tensors.slice(from, to), alignment);
    paths.push(partPath);
  }
  return paths;
}

/** The header of one GGUF v3 file: everything before the padding that precedes the tensor data. */
export function encodeHeader(metadata: GgufMetadata, tensors: readonly GgufTensor[], alignment: number): Buffer {
  const out = new HeaderEncoder();
  out.ascii('GGUF');
  out.integer(3, 4);
  out.integer(tensors.length, 8);
  out.integer(Object.keys(metadata).length, 8);
  for (const [key, value] of Object.entries(metadata)) {
    out.string(key);
    out.integer(VALUE_TYPE[value.type], 4);
    out.value(value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.string(tensor.name);
    out.integer(tensor.dims.length, 4);
    for (const dim of tensor.dims) out.integer(dim, 8);
    out.integer(typeOf(tensor).id, 4);
    out.integer(offset, 8);
    offset = roundUp(offset + tensorBytes(tensor), alignment);
  }
  return out.finish();
}

async function writeFile(
  path: string,
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
  alignment: number,
): Promise<void> {
  const file = await open(path, 'w');
  try {
    const out = new Output(file);
    await out.write(encodeHeader(metadata, tensors, alignment));
    for (const tensor of tensors) {
      await out.pad(alignment);
      await out.fill(tensor);
    }
    await out.pad(alignment);
    await out.flush();
    await file.truncate(out.position);
  } finally {
    await file.close();
  }
}

/** Writes front to back; while one buffer is being written, the other is filled. */
class Output {
  readonly #file: FileHandle;
  #position = 0;
  #spare = new Uint8Array(BUFFER_BYTES);
  #next = new Uint8Array(BUFFER_BYTES);
  #pending: Promise<void> = Promise.resolve();

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#pending;
    this.#pending = this.#writeAll(bytes, this.#position);
    this.#position += bytes.length;
  }

  get position(): number {
    return this.#position;
  }

  async pad(alignment: number): Promise<void> {
    const padding = roundUp(this.#position, alignment) - this.#position;
    if (padding > 0) await this.write(new Uint8Array(padding));
  }

  async fill(tensor: GgufTensor): Promise<void> {
    const total = tensorBytes(tensor);
    if (tensor.hole === true) {
      this.#position += total;
      return;
    }
    const { blockBytes } = typeOf(tensor);
    const chunk = Math.floor(BUFFER_BYTES / blockBytes) * blockBytes;
    for (let offset = 0; offset < total; offset += chunk) {
      const bytes = this.#next.subarray(0, Math.min(chunk, total - offset));
      tensor.fill(bytes, offset);
      [this.#next, this.#spare] = [this.#spare, this.#next];
      await this.write(bytes);
    }
  }

  async flush(): Promise<void> {
    await this.#pending;
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }
}

class HeaderEncoder {
  #bytes = Buffer.alloc(1 << 16);
  #length = 0;

  ascii(text: string): void {
    const at = this.#grow(text.length);
    this.#bytes.write(text, at, 'latin1');
  }

  string(text: string): void {
    const length = Buffer.byteLength(text);
    this.integer(length, 8);
    const at = this.#grow(length);
    this.#bytes.write(text, at, 'utf8');
  }

  /** Little endian two's complement of 1, 2, 4 or 8 bytes. */
  integer(value: number, bytes: number): void {
    const at = this.#grow(bytes);
    let rest = value;
    for (let i = 0; i < bytes; i++) {
      const byte = ((rest % 256) + 256) % 256;
      this.#bytes[at + i] = byte;
      rest = (rest - byte) / 256;
    }
  }

  value(value: GgufValue): void {
    if (value.type === 'array') {
      this.integer(VALUE_TYPE[value.of], 4);
      if (value.of === 'string') {
        this.integer(value.value.length, 8);
        for (const text of value.value) this.string(text);
        return;
      }
      const numbers = Array.from(value.value);
      this.integer(numbers.length, 8);
      for (const number of numbers) this.value({ type: value.of, value: number });
      return;
    }
    switch (value.type) {
      case 'string':
        this.string(value.value);
        return;
      case 'bool':
        this.integer(value.value ? 1 : 0, 1);
        return;
      case 'float32': {
        const at = this.#grow(4);
        this.#bytes.writeFloatLE(value.value, at);
        return;
      }
      case 'float64': {
        const at = this.#grow(8);
        this.#bytes.writeDoubleLE(value.value, at);
        return;
      }
      default:
        this.integer(value.value, Number(/\d+$/.exec(value.type)) / 8);
    }
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room at the end, perhaps in another buffer: look #bytes up after this. @returns where the room starts */
  #grow(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#length, 2 * this.#bytes.length));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return at;
  }
}

function typeOf(tensor: Pick<GgufTensor, 'type'>) {
  const type = tensorTypeByName(tensor.type);
  if (type === undefined) throw new RangeError(`${tensor.type} is no tensor type of ggml`);
  return type;
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
