import { fstatSync, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { StarlingError } from '../../../daemon/errors.ts';
import { type FileState, hasChanged, leadsTo } from './file-state.ts';

/** One read asks for no more: the operating system refuses 2 GiB and above. */
const MAX_READ = 2 ** 30;

/** A file of a model, open for reading at any position; reads may overlap in time. */
export class ModelFile {
  readonly path: string;
  /** Bytes, when it was opened. */
  readonly size: number;
  readonly #handle: FileHandle;
  #state: FileState;
  #changed = false;

  private constructor(path: string, state: FileState, handle: FileHandle) {
    this.path = path;
    this.size = Number(state.size);
    this.#state = state;
    this.#handle = handle;
  }

  /** Where and what it is; the same for as long as its bytes are. */
  get state(): FileState {
    return this.#state;
  }

  /** @throws StarlingError model_file_not_found, model_file_unreadable */
  static async open(path: string): Promise<ModelFile> {
    try {
      // Before opening: opening a named pipe would wait for its writer.
      const stats = await stat(path);
      if (!stats.isFile()) {
        throw new StarlingError('model_file_unreadable', `${path} is ${kindOf(stats)}, not a file; name a .gguf file`);
      }
      const handle = await open(path, 'r');
      try {
        return new ModelFile(path, await handle.stat({ bigint: true }), handle);
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (error) {
      throw fileError(path, error);
    }
  }

  /**
   * Reads up to `into.length` bytes.
   * @returns how many were read, 0 at the end of the file
   * @throws StarlingError model_file_unreadable, model_file_changed
   */
  async readSome(position: number, into: Uint8Array): Promise<number> {
    try {
      const { bytesRead } = await this.#handle.read(into, 0, Math.min(into.length, MAX_READ), position);
      this.assertUnchanged();
      return bytesRead;
    } catch (error) {
      throw fileError(this.path, error);
    }
  }

  /**
   * @throws StarlingError model_file_changed unless its bytes are those of when it was opened; takes some microseconds
   */
  assertUnchanged(): void {
    const now = fstatSync(this.#handle.fd, { bigint: true });
    this.#changed ||= hasChanged(this.#state, now, () => leadsTo(this.path, now));
    if (this.#changed) {
      throw new StarlingError(
        'model_file_changed',
        `${this.path} was changed since it was opened, so nothing more is computed with it; if it is still being downloaded or copied, wait for the end, then start again`,
      );
    }
    this.#state = now;
  }

  /**
   * Fills `into` from `position` on.
   * @param what for the message: what is being read
   * @throws StarlingError model_truncated when the file ends before, model_file_unreadable, model_file_changed
   */
  async readExact(position: number, into: Uint8Array, what: string): Promise<void> {
    let done = 0;
    while (done < into.length) {
      const count = await this.readSome(position + done, into.subarray(done));
      if (count === 0) {
        throw new StarlingError(
          'model_truncated',
          `${this.path} ends at byte ${position + done}, in the middle of ${what}; it was cut short after it was opened, so download it again`,
        );
      }
      done += count;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

function fileError(path: string, error: unknown): StarlingError {
  if (error instanceof StarlingError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new StarlingError('model_file_not_found', `${path} does not exist; check the path of the model file`, {
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new StarlingError('model_file_unreadable', `${path} cannot be read (${reason}); check its permissions`, {
    cause: error,
  });
}
