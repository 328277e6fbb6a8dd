import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileError } from '../../daemon/errors.ts';
import { Turns } from '../../daemon/turns.ts';
import type { DiskBudget } from './disk-budget.ts';
import { linesOf } from './lines.ts';
import { parseObject } from './request-line.ts';

/** Bytes of a line: a result that is longer is not kept. */
export const LONGEST_RESULT = 16 * 1024 * 1024;
/** What a power cut may cost; after kill -9 the system still writes what it was given. */
const SYNC_MS = 1000;

/**
 * Results of a batch, a line each, appended as they come to be. The file is at once the record of what is done and, in
 * the end, what the client fetches.
 */
export class ResultsFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #budget: DiskBudget;
  readonly #turns = new Turns();
  /** Bytes of whole lines. */
  #whole: number;
  #syncedAt = performance.now();
  #failed: unknown;

  private constructor(handle: FileHandle, path: string, budget: DiskBudget, whole: number) {
    this.#handle = handle;
    this.#path = path;
    this.#budget = budget;
    this.#whole = whole;
  }

  /**
   * Opens or creates the file. What follows its last whole line, which a crash may have left, is cut off.
   * @param onResult called with the custom id of each result that is there
   * @throws StarlingError store_failed, disk_full
   */
  static async open(path: string, budget: DiskBudget, onResult: (customId: string) => void): Promise<ResultsFile> {
    try {
      // Not for appending: Windows cuts no file that is open for that alone.
      const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      try {
        const { size } = await handle.stat();
        let whole = 0;
        for await (const { text, isEnded, offset, bytes } of linesOf(path, LONGEST_RESULT)) {
          const customId = text === null || !isEnded ? undefined : parseObject(text)?.custom_id;
          if (typeof customId !== 'string') break;
          onResult(customId);
          whole = offset + bytes + 1;
        }
        await handle.truncate(whole);
        budget.give(size - whole);
        return new ResultsFile(handle, path, budget, whole);
      } catch (thrown) {
        await handle.close();
        throw thrown;
      }
    } catch (thrown) {
      throw fileError(thrown, 'open', path);
    }
  }

  /**
   * Appends a result. After a failure, which may have left a part of a line, the file takes no more and has to be
   * opened anew.
   * @param line JSON without line feeds
   * @throws StarlingError store_limit_exceeded, disk_full, store_failed
   */
  append(line: string): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      const bytes = Buffer.from(`${line}\n`);
      this.#budget.take(bytes.length);
      let written = 0;
      try {
        while (written < bytes.length) {
          const at = this.#whole + written;
          written += (await this.#handle.write(bytes, written, bytes.length - written, at)).bytesWritten;
        }
        if (performance.now() - this.#syncedAt >= SYNC_MS) {
          await this.#handle.datasync();
          this.#syncedAt = performance.now();
        }
        this.#whole += bytes.length;
      } catch (thrown) {
        this.#failed = fileError(thrown, 'write', this.#path);
        // What is on the disk counts until the file is opened anew.
        this.#budget.give(bytes.length - written);
        throw this.#failed;
      }
    });
  }

  /** Everything is on the disk then. @throws StarlingError disk_full, store_failed */
  close(): Promise<void> {
    return this.#turns.take(async () => {
      try {
        await this.#handle.datasync();
      } catch (thrown) {
        throw fileError(thrown, 'write', this.#path);
      } finally {
        await this.#handle.close();
      }
    });
  }
}
