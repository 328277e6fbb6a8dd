import { type BigIntStats, statSync } from 'node:fs';

/** What the system tells of an open file by which it is seen whether its bytes are still the same. */
export type FileState = Pick<
  BigIntStats,
  'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs' | 'nlink' | 'mode' | 'uid' | 'gid'
>;

/**
 * Whether a file may hold other bytes than before. Writing changes mtime, and setting mtime back changes ctime. But
 * ctime also changes with the name, the links and the rights of a file, whose bytes are the same then: a newer file was
 * moved over it.
 * @param now of the same open file
 * @param isAt whether the file is still the one that its path leads to; asked only where nothing else tells
 */
export function hasChanged(before: FileState, now: FileState, isAt: () => boolean): boolean {
  if (now.size !== before.size || now.mtimeNs !== before.mtimeNs) return true;
  if (now.ctimeNs === before.ctimeNs) return false;
  const renamed =
    now.nlink !== before.nlink || now.mode !== before.mode || now.uid !== before.uid || now.gid !== before.gid;
  return !renamed && isAt();
}

/** Whether a path leads to this file. */
export function leadsTo(path: string, { dev, ino }: FileState): boolean {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.dev === dev && found.ino === ino;
}
