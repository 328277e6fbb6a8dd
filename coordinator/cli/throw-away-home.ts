import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StarlingError } from '../../daemon/errors.ts';
import { lives, showLife, signsIn } from '../../daemon/life-sign.ts';
import { systemCode } from '../../daemon/system-error.ts';

const PREFIX = 'starling-local-';
/** As mkdtemp completes the prefix. */
const NAME = new RegExp(`^${PREFIX}[A-Za-z0-9]{6}$`);

/** A folder for the homes of a cluster that ends with this process. */
export interface ThrowAwayHome {
  readonly folder: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/**
 * Makes one in a folder for temporary files, readable by this user only.
 * @throws StarlingError store_failed
 */
export async function makeThrowAwayHome(temporary: string): Promise<ThrowAwayHome> {
  try {
    const folder = await mkdtemp(join(temporary, PREFIX));
    // Before there is a key in it: whoever finds the folder later sees that its process is gone.
    const life = await showLife(folder);
    return {
      folder,
      remove: async () => {
        await rm(folder, { recursive: true, force: true });
        await life.remove();
      },
    };
  } catch (thrown) {
    throw new StarlingError(
      'store_failed',
      `cannot make a folder in ${temporary} (${systemCode(thrown)}); check its rights, or set TMPDIR to another`,
      { cause: thrown },
    );
  }
}

/** Removes those of this user whose processes are gone. @throws the system's error */
export async function cleanThrowAwayHomes(temporary: string): Promise<void> {
  for (const name of (await readdir(temporary)).filter((each) => NAME.test(each))) {
    const folder = join(temporary, name);
    const found = await lstat(folder).catch(() => null);
    if (!found?.isDirectory() || (process.getuid !== undefined && found.uid !== process.getuid())) continue;
    const ids = await signsIn(folder);
    const alive = await Promise.all(ids.map((id) => lives(folder, id)));
    // One without a sign is being made.
    if (ids.length > 0 && !alive.includes(true)) await rm(folder, { recursive: true, force: true });
  }
}
