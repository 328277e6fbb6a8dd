import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isLeftOver } from './atomic-file.ts';
import { fileError, StarlingError } from './errors.ts';
import { type LifeSign, lives, removeDeadSigns, showLife, signsIn } from './life-sign.ts';
import { makeFolder } from './make-folder.ts';
import type { HomePaths } from './paths.ts';
import { readRunFile, removeRunFile } from './run-file.ts';
import { systemCode } from './system-error.ts';

/** Two daemons that start at one moment see each other and both step back; one of them then has the home for itself. */
const ATTEMPTS = 4;
const LONGEST_PAUSE_MS = 200;

/**
 * Makes this process the one daemon of its home, until the life sign is removed.
 * @returns null in a home that cannot be written, where nothing can be claimed
 * @throws StarlingError already_running, store_failed
 */
export async function claimHome({ runFile }: Pick<HomePaths, 'runFile'>): Promise<LifeSign | null> {
  const home = dirname(runFile);
  for (let attempt = 1; ; attempt++) {
    const running = await readRunFile(runFile);
    if (running !== null) throw alreadyRuns(`process ${running.pid}, port ${running.port}`);
    const sign = await show(home);
    if (sign === null) return null;
    // Shown before the others are looked for: of two daemons, one at least sees the other.
    if (!(await hasOthers(home, sign.id))) return sign;
    await sign.remove();
    if (attempt === ATTEMPTS) throw alreadyRuns(`it is starting in ${home}`);
    await sleep(Math.random() * LONGEST_PAUSE_MS);
  }
}

/** Removes what daemons left in a home that are gone: the run file, life signs, files half-written. @throws the system's error */
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

async function show(home: string): Promise<LifeSign | null> {
  try {
    await makeFolder(home, 0o700);
    return await showLife(home);
  } catch (thrown) {
    if (['EROFS', 'EACCES', 'EPERM'].includes(systemCode(thrown) ?? '')) return null;
    throw fileError(thrown, 'write to', home);
  }
}

async function hasOthers(home: string, own: string): Promise<boolean> {
  const others = (await signsIn(home)).filter((id) => id !== own);
  return (await Promise.all(others.map((id) => lives(home, id)))).includes(true);
}

const alreadyRuns = (which: string): StarlingError =>
  new StarlingError(
    'already_running',
    `a daemon of this device runs already (${which}); stop it first, or set STARLING_HOME for another`,
  );
