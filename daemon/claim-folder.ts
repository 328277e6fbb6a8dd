import { setTimeout as sleep } from 'node:timers/promises';
import { type LifeSign, lives, showLife, signsIn } from './life-sign.ts';

/** Two that start at one moment see each other and both step back; one of them then has the folder for itself. */
const ATTEMPTS = 4;
const LONGEST_PAUSE_MS = 200;

/**
 * Makes this process the one that works in a folder, until the life sign is removed.
 * @returns null when another process has it
 * @throws the system's error where the folder can hold no sign
 */
export async function claimFolder(folder: string): Promise<LifeSign | null> {
  for (let attempt = 1; ; attempt++) {
    const sign = await showLife(folder);
    // Shown before the others are looked for: of two, one at least sees the other.
    if (!(await hasOthers(folder, sign.id))) return sign;
    await sign.remove();
    if (attempt === ATTEMPTS) return null;
    await sleep(Math.random() * LONGEST_PAUSE_MS);
  }
}

async function hasOthers(folder: string, own: string): Promise<boolean> {
  const others = (await signsIn(folder)).filter((id) => id !== own);
  return (await Promise.all(others.map((id) => lives(folder, id)))).includes(true);
}
