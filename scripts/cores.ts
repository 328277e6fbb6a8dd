import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

/** Cores of this machine, as the system counts them and taskset writes them: `0` or `0-1`. */
export type CoreList = string;

export const coreCount = availableParallelism;

/** As many cores as that, from the first on. */
export const firstCores = (count: number): CoreList => (count === 1 ? '0' : `0-${count - 1}`);

/**
 * A command put in front of another, which then runs on these cores, with all that it starts. Unpinned processes of one
 * machine that wake each other are put on one core, as if there were no other.
 */
export const onCores = (cores: CoreList): string[] => ['taskset', '-c', cores];

/** @throws Error where processes cannot be pinned */
export async function requirePinning(): Promise<void> {
  await promisify(execFile)('taskset', ['--version']).catch((cause: unknown) => {
    throw new Error('pinning needs Linux and taskset (util-linux): install it, or use --no-pin', { cause });
  });
}

/** Moves a running process with all its threads to these cores. @throws Error without taskset */
export async function pin(pid: number, cores: CoreList): Promise<void> {
  await promisify(execFile)('taskset', ['-a', '-c', '-p', cores, String(pid)]);
}

/** Where a process may run, by the system's account; null where that cannot be asked. */
export async function coresOf(pid: number): Promise<CoreList | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? null;
}
