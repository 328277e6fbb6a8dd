import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type CoreList, onCores } from './cores.ts';

/** Spins until its parent is gone: a process that never waits hears of nothing else. */
const SPIN = `
  const parent = process.ppid;
  process.stdout.write('spinning');
  while (process.ppid === parent) for (let i = 0; i < 1e8; i++);
`;

/**
 * Starts a process that keeps one core busy.
 * @param core which; the system's choice by default
 * @returns a way to end it
 */
export async function keepCoreBusy(core?: CoreList): Promise<() => Promise<void>> {
  const [command = '', ...args] = [...(core === undefined ? [] : onCores(core)), process.execPath, '-e', SPIN];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
}
