import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomic } from '../../daemon/atomic-file.ts';
import { type Contents, type ReadContentsOptions, readContents } from './contents.ts';
import type { FileState } from './gguf/file-state.ts';
import type { GgufFile, GgufPart } from './gguf/reader.ts';

/** Files that are remembered; the oldest are forgotten. */
const MOST = 1000;
/**
 * A file that was written just now may be written again without a change of its times, which on some file systems are
 * counted in steps of two seconds.
 */
const SETTLED_MS = 5000;

const NUMBER = z.string().regex(/^-?\d{1,40}$/);
const schema = z.object({
  version: z.literal(1),
  files: z
    .array(
      z.object({
        dev: NUMBER,
        ino: NUMBER,
        size: NUMBER,
        mtimeNs: NUMBER,
        ctimeNs: NUMBER,
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        warning: z.string().max(4096).nullable(),
      }),
    )
    .max(MOST),
});
type Entry = z.infer<typeof schema>['files'][number];

/**
 * Remembers what was found in model files, so that one that has not changed since, by where it lies, its size and its
 * times, need not be read through at the next start.
 */
export class KnownContents {
  readonly #file: string;
  readonly #now: () => number;

  /** @param file in which it is remembered, as JSON; a missing or damaged one counts as empty */
  constructor(file: string, now: () => number = Date.now) {
    this.#file = file;
    this.#now = now;
  }

  /** As readContents. A record that cannot be written costs the time of the next start, and nothing else. */
  async of(gguf: GgufFile, options: ReadContentsOptions = {}): Promise<Contents> {
    const known = await this.#read();
    const found = gguf.parts.map((part) => known.find((entry) => isOf(entry, part.state)));
    if (found.every((entry) => entry !== undefined)) {
      return {
        sha256: found.map(({ sha256 }) => sha256),
        warning: found.find(({ warning }) => warning)?.warning ?? null,
      };
    }
    const contents = await readContents(gguf, options);
    const added = gguf.parts.flatMap((part, i) => (this.#isSettled(part) ? [entryOf(part.state, contents, i)] : []));
    if (added.length > 0)
      await this.#write([
        ...added,
        ...known.filter((entry) => !added.some((a) => a.ino === entry.ino && a.dev === entry.dev)),
      ]);
    return contents;
  }

  #isSettled({ state }: GgufPart): boolean {
    const until = this.#now() - SETTLED_MS;
    return [state.mtimeNs, state.ctimeNs].every((ns) => Number(ns / 1_000_000n) < until);
  }

  async #read(): Promise<readonly Entry[]> {
    try {
      return schema.parse(JSON.parse(await readFile(this.#file, 'utf8'))).files;
    } catch {
      return [];
    }
  }

  async #write(files: readonly Entry[]): Promise<void> {
    const text = JSON.stringify({ version: 1, files: files.slice(0, MOST) });
    await writeFileAtomic(this.#file, `${text}\n`, { mode: 0o600, overwrite: true }).catch(() => {});
  }
}

function isOf(entry: Entry, state: FileState): boolean {
  return IDENTITY.every((name) => entry[name] === String(state[name]));
}

const IDENTITY = ['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'] as const;

function entryOf(state: FileState, { sha256, warning }: Contents, part: number): Entry {
  const [dev, ino, size, mtimeNs, ctimeNs] = IDENTITY.map((name) => String(state[name])) as [
    string,
    string,
    string,
    string,
    string,
  ];
  return { dev, ino, size, mtimeNs, ctimeNs, sha256: sha256[part]!, warning: warning?.slice(0, 4096) ?? null };
}
