import { readFile, rm } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomic } from './atomic-file.ts';
import { DEVICE_ID } from './identity.ts';

/** What a running daemon leaves in its home, so that other commands of this device find it. */
export interface RunFile {
  readonly pid: number;
  readonly port: number;
  readonly id: string;
}

const schema = z.object({
  pid: z.int().min(1),
  port: z.int().min(1).max(65_535),
  id: z.string().regex(DEVICE_ID),
});

/** The running daemon of this home, or null: no file, a damaged one, or one whose process is gone. */
export async function readRunFile(file: string): Promise<RunFile | null> {
  try {
    const run = schema.parse(JSON.parse(await readFile(file, 'utf8')));
    process.kill(run.pid, 0);
    return run;
  } catch {
    // Whatever is wrong with it, there is no daemon to be found through it.
    return null;
  }
}

export async function writeRunFile(file: string, run: RunFile): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(run)}\n`, { mode: 0o600, overwrite: true });
}

export async function removeRunFile(file: string): Promise<void> {
  await rm(file, { force: true });
}
