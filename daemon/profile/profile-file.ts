import { readFile, rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomic } from '../atomic-file.ts';
import { fileError, toStarlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { systemCode } from '../system-error.ts';
import { deviceProfileSchema } from './device-profile.ts';

const { formats, attention, phaseMs, disk, readingMs } = deviceProfileSchema.shape;

/** When something was measured, in milliseconds since 1970. */
const at = z.number();
/** What measurements depend on, as text. */
const key = z.string().min(1).max(8192);

/** What is kept of one way to compute. */
const keptSchema = z.strictObject({
  key,
  formats: z.partialRecord(formats.keyType, z.strictObject({ rates: formats.valueType, at })),
  engine: z.strictObject({ attention, phaseMs, at }).optional(),
});

const fileSchema = z.strictObject({
  version: z.literal(1),
  /** The one that was measured last comes first. */
  computing: z.array(keptSchema).max(8),
  /** By the store's folder. */
  disks: z.array(z.strictObject({ key, rate: disk, coreMs: readingMs, at })).max(8),
});

export type KeptProfile = z.infer<typeof fileSchema>;
export type KeptComputing = z.infer<typeof keptSchema>;

/** Most kept of either sort; the oldest are forgotten. */
const MOST = 8;
/** The file is a few kilobytes. */
const MOST_BYTES = 256 * 1024;

const nothing = (): KeptProfile => ({ version: 1, computing: [], disks: [] });

/** What was measured of this device, from one start to the next. */
export class ProfileFile {
  readonly #file: string;
  readonly #log: Logger;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /** A file that is not there, or makes no sense, holds nothing. */
  async read(): Promise<KeptProfile> {
    try {
      const { size } = await stat(this.#file);
      if (size > MOST_BYTES) throw new Error(`${size} bytes`);
      return fileSchema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch (thrown) {
      if (systemCode(thrown) !== 'ENOENT') {
        this.#log.warn({ file: this.#file }, 'what was measured of this device cannot be read and is measured anew');
      }
      return nothing();
    }
  }

  /** One that cannot be written costs the time of measuring again, and nothing else. */
  async write(kept: KeptProfile): Promise<void> {
    const { computing, disks } = kept;
    const text = JSON.stringify({ ...kept, computing: computing.slice(0, MOST), disks: disks.slice(0, MOST) });
    try {
      await writeFileAtomic(this.#file, `${text}\n`, { mode: 0o600, overwrite: true });
    } catch (thrown) {
      this.#log.warn({ code: toStarlingError(thrown).code }, fileError(thrown, 'write', this.#file).message);
    }
  }

  /** @throws StarlingError store_failed */
  async remove(): Promise<void> {
    try {
      await rm(this.#file, { force: true });
    } catch (thrown) {
      throw fileError(thrown, 'remove', this.#file);
    }
  }
}
