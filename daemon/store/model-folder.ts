import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../atomic-file.ts';
import { systemCode } from '../system-error.ts';

const MARK = /^(\d+)\.[0-9a-f]+\.use$/;
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
 * Marks a model's folder as in use by this process, and as used now; creates it where it is missing.
 * @returns takes the mark away
 * @throws the system's error
 */
export async function markInUse(folder: string, name: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const mark = join(folder, `${process.pid}.${randomBytes(4).toString('hex')}.use`);
  await writeFile(mark, '');
  await writeFileAtomic(join(folder, ABOUT), `${JSON.stringify({ name })}\n`, { mode: 0o644, overwrite: true });
  await touch(folder);
  return async () => {
    await rm(mark, { force: true });
    await touch(folder);
  };
}

/** @throws the system's error */
export async function modelFolderFacts(folder: string): Promise<ModelFolderFacts> {
  const [{ mtimeMs }, names, about] = await Promise.all([
    stat(folder),
    readdir(folder),
    readFile(join(folder, ABOUT), 'utf8').catch(() => ''),
  ]);
  const inUse = names.some((name) => isAlive(Number(MARK.exec(name)?.[1])));
  return { name: nameIn(about), lastUsed: mtimeMs, inUse };
}

/** Whether a process is running. */
export function isAlive(pid: number): boolean {
  if (Number.isNaN(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return systemCode(thrown) === 'EPERM';
  }
}

/** A mark that a process left which is gone. */
export function isStaleMark(name: string): boolean {
  const pid = MARK.exec(name)?.[1];
  return pid !== undefined && !isAlive(Number(pid));
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
