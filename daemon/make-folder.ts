import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from './system-error.ts';

/**
 * Creates a folder where it is missing, and those above it.
 * @param mode permission bits of what is created, on POSIX
 * @throws the system's error
 */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode });
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw thrown;
    // Node tells so of a file system that is read-only; without `recursive` it passes on what the system said.
    await mkdir(await highestMissing(folder), { mode });
    await mkdir(folder, { recursive: true, mode });
  }
}

async function highestMissing(folder: string): Promise<string> {
  const above = dirname(folder);
  const isThere = above === folder || (await stat(above).catch(() => null)) !== null;
  return isThere ? folder : highestMissing(above);
}
