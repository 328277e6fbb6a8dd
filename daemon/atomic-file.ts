import { randomBytes } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isOld } from './life-sign.ts';
import { makeFolder } from './make-folder.ts';
import { systemCode } from './system-error.ts';

const TEMPORARY = /\.\d+\.[0-9a-f]{8}\.tmp$/;

export interface AtomicWriteOptions {
  /** Permission bits on POSIX. */
  readonly mode: number;
  /** Whether a file of that name may be replaced. */
  readonly overwrite: boolean;
}

/**
 * Writes a small file so that a reader or a crash sees all of it or none. Creates the folder (0700) where it is
 * missing.
 * @returns false, with nothing written, when the file exists and may not be replaced
 * @throws the system's error
 */
export async function writeFileAtomic(
  file: string,
  content: string | Uint8Array,
  options: AtomicWriteOptions,
): Promise<boolean> {
  const folder = dirname(file);
  await makeFolder(folder, 0o700);
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', options.mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (options.overwrite) await rename(temporary, file);
    else if (!(await linkNew(temporary, file))) return false;
    await syncFolder(folder);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Whether a file is what a process left of `writeFileAtomic` that is gone: nobody takes a minute for a small file. */
export async function isLeftOver(file: string): Promise<boolean> {
  return TEMPORARY.test(file) && (await isOld(file));
}

/**
 * A hard link, unlike a rename, fails where the name is taken: so two processes cannot both believe they were first.
 */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (thrown) {
    if (systemCode(thrown) === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(systemCode(thrown) ?? '')) throw thrown;
  }
  // a file system without hard links (FAT, some phones): claim the name, then replace the claim
  try {
    await (await open(to, 'wx', 0o600)).close();
  } catch (thrown) {
    if (systemCode(thrown) === 'EEXIST') return false;
    throw thrown;
  }
  await rename(from, to);
  return true;
}

/** Makes renames inside a folder last through a power cut, where the platform can (Windows cannot open folders). */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF'].includes(systemCode(thrown) ?? '')) throw thrown;
  }
}
