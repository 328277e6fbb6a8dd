import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { StarlingError } from '../../daemon/errors.ts';
import { isOld, lives, showLife, signsIn } from '../../daemon/life-sign.ts';
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

/**
 * Removes those of this user whose processes are gone, the daemons in them too.
 * @param own a home that is not removed from under this process, should it be within one
 * @throws the system's error
 */
export async function cleanThrowAwayHomes(temporary: string, own = ''): Promise<void> {
  for (const name of (await readdir(temporary)).filter((each) => NAME.test(each))) {
    const folder = join(temporary, name);
    if (own.startsWith(folder + sep)) continue;
    const found = await lstat(folder).catch(() => null);
    if (!found?.isDirectory() || (process.getuid !== undefined && found.uid !== process.getuid())) continue;
    const homes = (await readdir(folder)).map((each) => join(folder, each));
    const signs = await Promise.all([folder, ...homes].map(signsOf));
    const alive = signs.flat();
    // One without any sign is being made, or what a daemon left that came after it had been removed.
    if (alive.includes(true) || (alive.length === 0 && !(await isOld(folder)))) continue;
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of each life sign in a folder, whether its process lives. */
async function signsOf(folder: string): Promise<boolean[]> {
  return Promise.all((await signsIn(folder)).map((id) => lives(folder, id)));
}
