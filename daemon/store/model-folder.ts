import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isLeftOver, writeFileAtomic } from '../atomic-file.ts';
import { LIFE_ID } from '../life-sign.ts';
import { makeFolder } from '../make-folder.ts';

const MARK = new RegExp(`^(${LIFE_ID})\\.[0-9a-f]+\\.use$`);
const TEMPORARY = new RegExp(`\\.(${LIFE_ID})\\.[0-9a-f]+\\.tmp$`);
/** Of older versions; it names a process by its number, which proves nothing. */
const OLD_MARK = /^\d+\.[0-9a-f]+\.use$/;
const ABOUT = 'model.json';

const aboutSchema = z.object({ name: z.string().min(1).max(256) });

/** What a model's folder tells besides its tiles. */
export interface ModelFolderFacts {
  /** What coordinators call the model; null when nobody told. */
  readonly name: string | null;
  /** When its last use began or ended, in milliseconds since 1970. */
  readonly lastUsed: number;
  readonly inUse: boolean;
}

/**
 * Marks a model's folder as in use, and as used now; creates it where it is missing.
 * @param owner id of the life sign of this process in the store
 * @returns takes the mark away
 * @throws the system's error
 */
export async function markInUse(folder: string, name: string, owner: string): Promise<() => Promise<void>> {
  await makeFolder(folder);
  const mark = join(folder, `${owner}.${randomBytes(4).toString('hex')}.use`);
  await writeFile(mark, '');
  await writeFileAtomic(join(folder, ABOUT), `${JSON.stringify({ name })}\n`, { mode: 0o644, overwrite: true });
  await touch(folder);
  return async () => {
    await rm(mark, { force: true });
    await touch(folder);
  };
}

/** @param isAlive whether the process lives whose life sign has an id @throws the system's error */
export async function modelFolderFacts(
  folder: string,
  isAlive: (owner: string) => Promise<boolean>,
): Promise<ModelFolderFacts> {
  const [{ mtimeMs }, names, about] = await Promise.all([
    stat(folder),
    readdir(folder),
    readFile(join(folder, ABOUT), 'utf8').catch(() => ''),
  ]);
  const owners = new Set(names.flatMap((name) => MARK.exec(name)?.[1] ?? []));
  const alive = await Promise.all([...owners].map(isAlive));
  return { name: nameIn(about), lastUsed: mtimeMs, inUse: alive.includes(true) };
}

/**
 * Removes what processes left in a model's folder that are gone: marks, and files half-written. It counts as used when
 * it did before.
 * @returns how many half-written files were removed
 * @throws the system's error
 */
export async function cleanModelFolder(folder: string, isAlive: (owner: string) => Promise<boolean>): Promise<number> {
  const { atime, mtime } = await stat(folder);
  let [marks, halfWritten] = [0, 0];
  for (const name of await readdir(folder)) {
    const owner = (MARK.exec(name) ?? TEMPORARY.exec(name))?.[1];
    const left =
      owner === undefined ? OLD_MARK.test(name) || (await isLeftOver(join(folder, name))) : !(await isAlive(owner));
    if (!left) continue;
    await rm(join(folder, name), { force: true });
    if (name.endsWith('.use')) marks++;
    else halfWritten++;
  }
  if (marks + halfWritten > 0) await utimes(folder, atime, mtime);
  return halfWritten;
}

/** The folder's own time tells when the model was used: writing a tile changes it as well. */
async function touch(folder: string): Promise<void> {
  const now = new Date();
  // It may have been removed meanwhile.
  await utimes(folder, now, now).catch(() => {});
}

function nameIn(about: string): string | null {
  try {
    return aboutSchema.parse(JSON.parse(about)).name;
  } catch {
    return null;
  }
}
