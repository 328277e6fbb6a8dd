import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { isLeftOver, writeFileAtomic } from '../../daemon/atomic-file.ts';
import { fileError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { isId } from './ids.ts';

/** Bytes of a record; one with a hundred long faults has less. */
const LONGEST = 256 * 1024;
const SUFFIX = '.json';

/** Records of one kind in a folder, a small JSON file each, named by their ids. */
export class RecordFolder<T extends { readonly id: string }> {
  readonly #folder: string;
  readonly #kind: 'file' | 'batch';
  readonly #schema: z.ZodType<T>;
  readonly #log: Logger;

  constructor(folder: string, kind: 'file' | 'batch', schema: z.ZodType<T>, log: Logger) {
    this.#folder = folder;
    this.#kind = kind;
    this.#schema = schema;
    this.#log = log;
  }

  /**
   * All that can be read; damaged ones are left where they are, and told in the log.
   * @throws StarlingError store_failed
   */
  async load(): Promise<T[]> {
    const records: T[] = [];
    try {
      for (const name of await readdir(this.#folder)) {
        const id = name.slice(0, -SUFFIX.length);
        if (name.endsWith(SUFFIX) && isId(this.#kind, id)) records.push(...(await this.#read(id)));
        else if (await isLeftOver(join(this.#folder, name))) await rm(join(this.#folder, name), { force: true });
      }
    } catch (thrown) {
      throw fileError(thrown, 'read', this.#folder);
    }
    return records;
  }

  /**
   * Writes a record so that a crash leaves this one or the one before.
   * @throws StarlingError store_failed, disk_full
   */
  async write(record: T): Promise<void> {
    const file = this.#fileOf(record.id);
    try {
      await writeFileAtomic(file, `${JSON.stringify(record)}\n`, { mode: 0o600, overwrite: true });
    } catch (thrown) {
      throw fileError(thrown, 'write', file);
    }
  }

  /** @throws StarlingError store_failed */
  async remove(id: string): Promise<void> {
    const file = this.#fileOf(id);
    await rm(file, { force: true }).catch((thrown: unknown) => {
      throw fileError(thrown, 'remove', file);
    });
  }

  async #read(id: string): Promise<T[]> {
    const file = this.#fileOf(id);
    try {
      if ((await stat(file)).size > LONGEST) throw new RangeError('it is too long');
      const record = this.#schema.parse(JSON.parse(await readFile(file, 'utf8')));
      if (record.id !== id) throw new RangeError('it has the id of another');
      return [record];
    } catch (thrown) {
      this.#log.warn({ err: thrown }, `${file} is damaged and counts as none`);
      return [];
    }
  }

  #fileOf(id: string): string {
    return join(this.#folder, id + SUFFIX);
  }
}
