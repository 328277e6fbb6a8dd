import { claimFolder } from '../../daemon/claim-folder.ts';
import { fileError, StarlingError } from '../../daemon/errors.ts';
import { type LifeSign, removeDeadSigns } from '../../daemon/life-sign.ts';
import type { Logger } from '../../daemon/log.ts';
import { makeFolder } from '../../daemon/make-folder.ts';
import { type Batch, type BatchWish, cancelling, hasEnded, newBatch, windowHours } from './batch.ts';
import type { Execute } from './batch-run.ts';
import { BatchRunner } from './batch-runner.ts';
import { BatchStore } from './batch-store.ts';
import { type FileLimits, FileStore, type StoredFile, type Upload } from './file-store.ts';

export interface BatchesOptions {
  /** See HomePaths.batchesDir; created where it is missing. */
  readonly folder: string;
  /** Paths that requests of a batch may go to, such as /v1/chat/completions. */
  readonly endpoints: readonly string[];
  readonly execute: Execute;
  /** How many requests are worth having under way at present, of all batches together. */
  readonly parallel: () => number;
  readonly log: Logger;
  readonly limits?: FileLimits;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** From one try of a request to the next. */
  readonly retryMs?: number;
}

/** Room for some hundred thousand requests and their answers, on a disk that also holds a model. */
const FILE_LIMITS: FileLimits = { total: 2 ** 30, upload: 100 * 2 ** 20, files: 1000 };
const MOST_BATCHES = 1000;
const RETRY_MS = 2000;
const METADATA = { pairs: 16, name: 64, value: 512 };

/**
 * Work that nobody waits for: files of requests, and batches that compute them. Everything is kept in a folder, which
 * one process uses at a time, and goes on after a restart.
 */
export class Batches {
  readonly #options: BatchesOptions;
  readonly #now: () => number;
  readonly #store: BatchStore;
  readonly #files: FileStore;
  readonly #runner: BatchRunner;
  #sign: LifeSign | undefined;

  constructor(options: BatchesOptions) {
    const { folder, execute, parallel, log, limits = FILE_LIMITS, now = Date.now, retryMs = RETRY_MS } = options;
    this.#options = options;
    this.#now = now;
    this.#store = new BatchStore(folder, MOST_BATCHES, log);
    this.#files = new FileStore(folder, limits, log, now);
    this.#runner = new BatchRunner({ store: this.#store, files: this.#files, execute, parallel, log, now, retryMs });
  }

  /** @throws StarlingError already_running when another process uses the folder; store_failed */
  async start(): Promise<void> {
    const { folder } = this.#options;
    const sign = await this.#claim();
    if (sign === null) {
      throw new StarlingError(
        'already_running',
        `another process works on the batches in ${folder}; stop it first, or set STARLING_HOME for another`,
      );
    }
    try {
      await this.#store.start();
      const live = this.#store.all().filter((batch) => !hasEnded(batch));
      await this.#files.start(new Set(live.flatMap(({ resultFiles: { output, error } }) => [output, error])));
    } catch (thrown) {
      await sign.remove();
      throw thrown;
    }
    this.#sign = sign;
    this.#runner.wake();
  }

  async stop(): Promise<void> {
    await this.#runner.stop();
    await this.#sign?.remove();
  }

  /** Errors as of FileStore.upload. */
  upload(upload: Upload): Promise<StoredFile> {
    return this.#files.upload(upload);
  }

  /** The newest first. */
  listFiles(owner: string | null): StoredFile[] {
    return this.#files.list(owner);
  }

  /** @throws StarlingError file_not_found */
  file(id: string, owner: string | null): StoredFile {
    return this.#files.get(id, owner);
  }

  /** Where a file's content is. @throws StarlingError file_not_found */
  contentPath(id: string, owner: string | null): string {
    return this.#files.pathOf(this.#files.get(id, owner).id);
  }

  /** @throws StarlingError file_not_found; invalid_request while a batch needs it; store_failed */
  async removeFile(id: string, owner: string | null): Promise<void> {
    const user = this.#store.all().find((batch) => batch.inputFileId === id && !hasEnded(batch));
    if (user?.owner === owner) {
      throw new StarlingError('invalid_request', `the batch ${user!.id} needs this file; cancel it first`);
    }
    await this.#files.remove(id, owner);
  }

  /** @throws StarlingError invalid_request, file_not_found, queue_full, store_failed, disk_full */
  async create(wish: BatchWish): Promise<Batch> {
    const hours = this.#check(wish);
    const batch = newBatch(wish, hours, Math.floor(this.#now() / 1000));
    await this.#store.add(batch);
    this.#runner.wake();
    return batch;
  }

  /** The newest first. */
  list(owner: string | null): Batch[] {
    return this.#store
      .all()
      .filter((batch) => batch.owner === owner)
      .reverse();
  }

  /** @throws StarlingError batch_not_found */
  get(id: string, owner: string | null): Batch {
    return this.#store.get(id, owner);
  }

  /**
   * What has results keeps them.
   * @throws StarlingError batch_not_found; invalid_request when it has ended; store_failed
   */
  async cancel(id: string, owner: string | null): Promise<Batch> {
    const batch = this.#store.get(id, owner);
    if (hasEnded(batch)) throw new StarlingError('invalid_request', `the batch ${id} is ${batch.status} already`);
    const cancelled = await this.#store.change(id, (now) => cancelling(now, Math.floor(this.#now() / 1000)));
    this.#runner.wake();
    return cancelled;
  }

  /** @returns hours of the completion window */
  #check({ endpoint, inputFileId, owner, completionWindow, metadata }: BatchWish): number {
    const { endpoints } = this.#options;
    if (!endpoints.includes(endpoint)) throw wrong('endpoint', `must be one of ${endpoints.join(', ')}`);
    const hours = windowHours(completionWindow);
    if (hours === null) throw wrong('completion_window', 'must be a number of hours up to 168, such as 24h');
    if (this.#files.get(inputFileId, owner).purpose !== 'batch') {
      throw wrong('input_file_id', 'must be a file that was uploaded with the purpose batch');
    }
    const pairs = Object.entries(metadata ?? {});
    const isBounded = pairs.every(([name, value]) => name.length <= METADATA.name && value.length <= METADATA.value);
    if (pairs.length > METADATA.pairs || !isBounded) {
      throw wrong(
        'metadata',
        `has at most ${METADATA.pairs} entries, of ${METADATA.name} characters for a name and ${METADATA.value} for a value`,
      );
    }
    return hours;
  }

  async #claim(): Promise<LifeSign | null> {
    const { folder } = this.#options;
    try {
      await makeFolder(folder, 0o700);
      await removeDeadSigns(folder);
      return await claimFolder(folder);
    } catch (thrown) {
      throw fileError(thrown, 'write to', folder);
    }
  }
}

const wrong = (param: string, why: string): StarlingError =>
  new StarlingError('invalid_request', `${param} ${why}`, { param });
