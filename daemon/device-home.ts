import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isLeftOver } from './atomic-file.ts';
import { claimFolder } from './claim-folder.ts';
import { fileError, StarlingError } from './errors.ts';
import { type LifeSign, removeDeadSigns, signsIn } from './life-sign.ts';
import { makeFolder } from './make-folder.ts';
import type { HomePaths } from './paths.ts';
import { type RunFile, readRunFile, removeRunFile } from './run-file.ts';
import { systemCode } from './system-error.ts';

/**
 * Makes this process the one daemon of its home, until the life sign is removed.
 * @returns null in a home that cannot be written, where nothing can be claimed
 * @throws StarlingError already_running, store_failed
 */
export async function claimHome({ runFile }: Pick<HomePaths, 'runFile'>): Promise<LifeSign | null> {
  const home = dirname(runFile);
  const running = await readRunFile(runFile);
  if (running !== null) throw runsAlready(running, home);
  try {
    await makeFolder(home, 0o700);
    const sign = await claimFolder(home);
    if (sign !== null) return sign;
  } catch (thrown) {
    if (['EROFS', 'EACCES', 'EPERM'].includes(systemCode(thrown) ?? '')) return null;
    throw fileError(thrown, 'write to', home);
  }
  throw runsAlready(await readRunFile(runFile), home);
}

/**
 * Removes what daemons left in a home that are gone: the run file, life signs, files half-written.
 * @throws the system's error
 */
export async function cleanHome({ runFile }: Pick<HomePaths, 'runFile'>): Promise<void> {
  const home = dirname(runFile);
  await removeDeadSigns(home);
  const names = await readdir(home);
  for (const name of names) {
    if (await isLeftOver(join(home, name))) await rm(join(home, name), { force: true });
  }
  // One that starts at this moment has shown its sign before it writes the file.
  if (names.includes(basename(runFile)) && (await readRunFile(runFile)) === null && (await signsIn(home)).length === 0)
    await removeRunFile(runFile);
}

function runsAlready(running: RunFile | null, home: string): StarlingError {
  const which = running === null ? `it is starting in ${home}` : `process ${running.pid}, port ${running.port}`;
  return new StarlingError(
    'already_running',
    `a daemon of this device runs already (${which}); stop it first, or set STARLING_HOME for another`,
  );
}
