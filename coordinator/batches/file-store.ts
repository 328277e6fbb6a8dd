import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fileError, StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { DiskBudget } from './disk-budget.ts';
import { byAge, isId, newId } from './ids.ts';
import { RecordFolder } from './record-folder.ts';

const schema = z.object({
  version: z.literal(1),
  id: z.string(),
  owner: z.string().max(64).nullable(),
  bytes: z.int().min(0),
  /** Seconds since 1970. */
  createdAt: z.int().min(0),
  filename: z.string().max(255),
  purpose: z.enum(['batch', 'batch_output']),
});
/**
 * What is known of a file beside its content. `owner` is the name of the API key that it came with, null without keys.
 */
export type StoredFile = Readonly<z.infer<typeof schema>>;

export interface Upload {
  readonly owner: string | null;
  readonly filename: string;
  readonly content: AsyncIterable<Uint8Array>;
}

export interface FileLimits {
  /** Bytes of all files together. */
  readonly total: number;
  /** Bytes of one that is uploaded. */
  readonly upload: number;
  /** Files, those of all owners together. */
  readonly files: number;
}

const CONTENT_SUFFIX = '.jsonl';

/**
 * Files that clients upload, and those that hold results: the content beside a record, which is written last and makes
 * it a file.
 */
export class FileStore {
  readonly budget: DiskBudget;
  readonly #folder: string;
  readonly #records: RecordFolder<StoredFile>;
  readonly #limits: FileLimits;
  /** Milliseconds since 1970. */
  readonly #now: () => number;
  readonly #files = new Map<string, StoredFile>();

  constructor(folder: string, limits: FileLimits, log: Logger, now: () => number) {
    this.#folder = folder;
    this.#records = new RecordFolder(folder, 'file', schema, log);
    this.#limits = limits;
    this.#now = now;
    this.budget = new DiskBudget(limits.total);
  }

  /**
   * Finds what is there, and removes what uploads left that never ended.
   * @param unfinished ids of files that have no record yet and are to stay: results of batches that go on
   * @throws StarlingError store_failed
   */
  async start(unfinished: ReadonlySet<string>): Promise<void> {
    const records = new Map((await this.#records.load()).map((record) => [record.id, record]));
    const found = new Set<string>();
    for (const name of await readdir(this.#folder)) {
      const id = name.slice(0, -CONTENT_SUFFIX.length);
      if (!name.endsWith(CONTENT_SUFFIX) || !isId('file', id)) continue;
      found.add(id);
      if (records.has(id) || unfinished.has(id)) this.budget.found((await stat(this.pathOf(id))).size);
      else await rm(this.pathOf(id), { force: true });
    }
    for (const record of records.values()) {
      if (found.has(record.id)) this.#files.set(record.id, record);
      else await this.#records.remove(record.id);
    }
  }

  /** Those of an owner, the newest first. */
  list(owner: string | null): StoredFile[] {
    return [...this.#files.values()]
      .filter((file) => file.owner === owner)
      .sort(byAge)
      .reverse();
  }

  /** @throws StarlingError file_not_found, also for the file of another */
  get(id: string, owner: string | null): StoredFile {
    const file = this.#files.get(id);
    if (file?.owner === owner) return file!;
    throw new StarlingError('file_not_found', `there is no file '${id.slice(0, 64)}'; GET /v1/files lists them`);
  }

  /** Where the content is; of ids that this store gave, never of what a client says. */
  pathOf(id: string): string {
    return join(this.#folder, id + CONTENT_SUFFIX);
  }

  /**
   * Takes a file from a client, as it comes.
   * @throws StarlingError request_too_large, store_limit_exceeded, disk_full, store_failed; what the content throws.
   * Nothing is left then
   */
  async upload({ owner, filename, content }: Upload): Promise<StoredFile> {
    if (this.#files.size >= this.#limits.files) {
      throw new StarlingError('store_limit_exceeded', `there are ${this.#files.size} files already; delete some`);
    }
    const id = newId('file');
    const path = this.pathOf(id);
    const failed = (thrown: unknown): never => {
      throw fileError(thrown, 'write', path);
    };
    let bytes = 0;
    try {
      const handle = await open(path, 'wx', 0o600).catch(failed);
      try {
        for await (const chunk of content) {
          if (bytes + chunk.length > this.#limits.upload) throw this.#tooLarge();
          this.budget.take(chunk.length);
          bytes += chunk.length;
          await handle.writeFile(chunk).catch(failed);
        }
        await handle.sync().catch(failed);
      } finally {
        await handle.close();
      }
      return await this.#add({ id, owner, bytes, filename, purpose: 'batch' });
    } catch (thrown) {
      this.budget.give(bytes);
      await rm(path, { force: true }).catch(() => {});
      throw thrown;
    }
  }

  /**
   * Makes a file of results that are all there; may be repeated.
   * @returns its id; null, with nothing left, when it holds nothing
   * @throws StarlingError store_failed, disk_full
   */
  async publish(id: string, owner: string | null, filename: string): Promise<string | null> {
    if (this.#files.has(id)) return id;
    const found = await stat(this.pathOf(id)).catch(() => null);
    if (found !== null && found.size > 0) {
      await this.#add({ id, owner, bytes: found.size, filename, purpose: 'batch_output' });
      return id;
    }
    await rm(this.pathOf(id), { force: true });
    return null;
  }

  /** Whether the content can be read: it may have been removed by hand. */
  async isThere(id: string): Promise<boolean> {
    return (await stat(this.pathOf(id)).catch(() => null)) !== null;
  }

  /** @throws StarlingError file_not_found, store_failed */
  async remove(id: string, owner: string | null): Promise<void> {
    const { bytes } = this.get(id, owner);
    this.#files.delete(id);
    // The record last comes first here: what is left of a crash in between is removed at the next start.
    await this.#records.remove(id);
    await rm(this.pathOf(id), { force: true });
    this.budget.give(bytes);
  }

  async #add(file: Omit<StoredFile, 'version' | 'createdAt'>): Promise<StoredFile> {
    // Whoever shows the name should not have to think of what it may do to a terminal or a header.
    const filename = file.filename.replace(/\p{Cc}/gu, '').slice(0, 255);
    const record = { ...file, version: 1 as const, filename, createdAt: Math.floor(this.#now() / 1000) };
    await this.#records.write(record);
    this.#files.set(record.id, record);
    return record;
  }

  #tooLarge(): StarlingError {
    return new StarlingError(
      'request_too_large',
      `a file has at most ${this.#limits.upload} bytes; make several of it`,
      { param: 'file' },
    );
  }
}
