import { StarlingError } from '../../../daemon/errors.ts';
import type { TensorInfo } from '../tensor-info.ts';
import type { FileState } from './file-state.ts';
import { HeaderSource } from './header-source.ts';
import { HeaderBudget } from './limits.ts';
import { Metadata } from './metadata.ts';
import { ModelFile } from './model-file.ts';
import { type Header, parseHeader } from './parser.ts';
import { placeTensors } from './placement.ts';
import { shown } from './shown.ts';
import { checkPart, partPaths, splitPlace } from './split.ts';

/** One file of a model: a part of it when it is split. */
export interface GgufPart {
  readonly path: string;
  readonly size: number;
  readonly headerBytes: number;
  /** The same for as long as its bytes are. */
  readonly state: FileState;
}

/** An open model: its header in memory, its tensors in the file. */
export interface GgufFile {
  /** The path it was opened by: of any part when it is split. */
  readonly path: string;
  readonly version: number;
  readonly parts: readonly GgufPart[];
  /** Of the first part. */
  readonly metadata: Metadata;
  /** Of all parts, by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Reads `length` bytes of a tensor, from `offset` bytes after its start, to the front of `into`. Reads may overlap in
   * time.
   * @throws StarlingError model_truncated, model_file_unreadable, model_file_changed, internal (outside the tensor or
   *   longer than `into`)
   */
  read(tensor: TensorInfo, offset: number, length: number, into: Uint8Array): Promise<void>;
  /**
   * Fills `into` from a part of the model, as it lies on the disk.
   * @param part its index
   * @throws StarlingError as for `read`
   */
  readPart(part: number, position: number, into: Uint8Array): Promise<void>;
  /**
   * @throws StarlingError model_file_changed unless the file that holds the tensor is what it was when it was opened
   */
  assertUnchanged(tensor: TensorInfo): void;
  close(): Promise<void>;
}

/**
 * Opens a GGUF model; any part of a split one opens all (they lie in one folder under the names that gguf-split gives:
 * `name-00001-of-00003.gguf`). Reads the headers only.
 * @throws StarlingError model_file_not_found (also for a missing part), model_file_unreadable, model_not_gguf,
 *   model_unsupported_version, model_truncated, model_invalid, model_unsupported_tensor_type (a type ggml does not
 *   have)
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const files: ModelFile[] = [];
  try {
    const budget = new HeaderBudget();
    const named = await openPart(path, budget, files);
    const place = splitPlace(path, named.header.values);
    if (place === null) return new OpenGguf(path, [named]);

    const parts: OpenPart[] = [];
    for (const [i, partPath] of partPaths(path, place).entries()) {
      const part = i === place.part ? named : await openSibling(partPath, i, place.parts, budget, files);
      checkPart(part.file.path, splitPlace(part.file.path, part.header.values), i, place);
      parts.push(part);
    }
    const opened = new OpenGguf(path, parts);
    if (place.tensors !== null && place.tensors !== opened.tensors.size) {
      throw new StarlingError(
        'model_invalid',
        `${path}: the ${place.parts} parts hold ${opened.tensors.size} tensors, but split.tensors.count says ${place.tensors}; download them again`,
      );
    }
    return opened;
  } catch (error) {
    await Promise.allSettled(files.map((file) => file.close()));
    throw error;
  }
}

interface OpenPart {
  readonly file: ModelFile;
  readonly header: Header;
}

/** Opens a file and reads its header; the file is added to `files` first, so that the caller can close it. */
async function openPart(path: string, budget: HeaderBudget, files: ModelFile[]): Promise<OpenPart> {
  const file = await ModelFile.open(path);
  files.push(file);
  return { file, header: await parseHeader(new HeaderSource(file, budget)) };
}

async function openSibling(
  path: string,
  part: number,
  parts: number,
  budget: HeaderBudget,
  files: ModelFile[],
): Promise<OpenPart> {
  try {
    return await openPart(path, budget, files);
  } catch (error) {
    if (!(error instanceof StarlingError && error.code === 'model_file_not_found')) throw error;
    throw new StarlingError(
      'model_file_not_found',
      `part ${part + 1} of ${parts} of the model is missing: ${path}; download it into the same folder`,
      { cause: error },
    );
  }
}

class OpenGguf implements GgufFile {
  readonly path: string;
  readonly version: number;
  readonly parts: readonly GgufPart[];
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #files: readonly ModelFile[];

  constructor(path: string, parts: readonly OpenPart[]) {
    const [first] = parts;
    if (first === undefined) throw new StarlingError('internal', `${path}: a model has at least one file`);
    this.path = path;
    this.version = first.header.version;
    this.metadata = new Metadata(first.file.path, first.header.values);
    this.parts = parts.map(({ file, header }) => ({
      path: file.path,
      size: file.size,
      headerBytes: header.headerBytes,
      state: file.state,
    }));
    this.#files = parts.map((part) => part.file);

    const tensors = new Map<string, TensorInfo>();
    for (const [i, { file, header }] of parts.entries()) {
      for (const tensor of placeTensors(header, file.path, i, file.size)) {
        if (tensors.has(tensor.name)) {
          throw new StarlingError(
            'model_invalid',
            `${file.path}: the tensor ${shown(tensor.name)} is in another part of the model too; download the parts again`,
          );
        }
        tensors.set(tensor.name, tensor);
      }
    }
    this.tensors = tensors;
  }

  async read(tensor: TensorInfo, offset: number, length: number, into: Uint8Array): Promise<void> {
    const file = this.#files[tensor.file];
    const inside = offset >= 0 && length >= 0 && offset + length <= tensor.byteLength && length <= into.length;
    if (file === undefined || !inside) {
      throw new StarlingError(
        'internal',
        `${this.path}: bytes ${offset} to ${offset + length} of tensor ${shown(tensor.name)} (${tensor.byteLength} bytes) were asked for, into ${into.length} bytes`,
      );
    }
    await file.readExact(tensor.offset + offset, into.subarray(0, length), `tensor ${shown(tensor.name)}`);
  }

  async readPart(part: number, position: number, into: Uint8Array): Promise<void> {
    await this.#file(part).readExact(position, into, 'its contents');
  }

  assertUnchanged(tensor: TensorInfo): void {
    this.#file(tensor.file).assertUnchanged();
  }

  #file(part: number): ModelFile {
    const file = this.#files[part];
    if (file === undefined) throw new StarlingError('internal', `${this.path} has no part ${part}`);
    return file;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}
