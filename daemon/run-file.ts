import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { z } from 'zod';
import { BACKENDS } from '../kernels/create-kernels.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { DEVICE_ID } from './identity.ts';
import { LIFE_ID, lives } from './life-sign.ts';
import { RUN_ID } from './protocol/control.ts';
import { reachableAt } from './reachable-at.ts';

/** What a running daemon leaves in its home, so that other commands of this device find it. */
export interface RunFile {
  /** The daemon's process, as it tells it to others; absent in the files of older versions. */
  readonly run?: string | undefined;
  readonly pid: number;
  /** An address of this machine at which it listens. */
  readonly host: string;
  readonly port: number;
  readonly id: string;
  /** Id of its life sign beside the file; absent where there can be none, and in the files of older versions. */
  readonly life?: string | undefined;
  /** What it was told about the use of this device; absent in the files of older versions. */
  readonly told?: ToldDaemon | undefined;
}

/** How the owner of a device wants it to be used, as far as its daemon was told. */
export interface ToldDaemon {
  readonly backend?: BackendName | undefined;
  readonly threads?: number | undefined;
  /** Most bytes of memory, all included. */
  readonly memory?: number | undefined;
  /** An absolute path. */
  readonly storeDir: string;
  /** Most bytes of tiles. */
  readonly storeLimit?: number | undefined;
}

const schema = z.object({
  run: z.string().regex(RUN_ID).optional(),
  pid: z.int().min(1),
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535),
  id: z.string().regex(DEVICE_ID),
  life: z
    .string()
    .regex(new RegExp(`^${LIFE_ID}$`))
    .optional(),
  told: z
    .object({
      backend: z.enum(BACKENDS).optional(),
      threads: z.int().min(1).optional(),
      memory: z.int().min(1).optional(),
      storeDir: z.string().min(1),
      storeLimit: z.int().min(1).optional(),
    })
    .optional(),
});

/** For a port of this machine to take a connection; one that nothing listens at refuses at once. */
const PROBE_MS = 1000;

/**
 * The running daemon of this home, or null: no file, a damaged one, or one that a crash left behind. Its process id
 * proves nothing, as ids are given again, and each container has its own; so its life sign has to be there, or its port
 * to take a connection.
 */
export async function readRunFile(file: string): Promise<RunFile | null> {
  try {
    const run = schema.parse(JSON.parse(await readFile(file, 'utf8')));
    const alive = run.life === undefined ? await listens(run) : await lives(dirname(file), run.life);
    return alive ? run : null;
  } catch {
    // Whatever is wrong with it, there is no daemon to be found through it.
    return null;
  }
}

/** Leaves the file; `host` is what the daemon was told to listen at, and all addresses become the loopback one. */
export async function writeRunFile(file: string, run: RunFile): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify({ ...run, host: reachableAt(run.host) })}\n`, {
    mode: 0o600,
    overwrite: true,
  });
}

export async function removeRunFile(file: string): Promise<void> {
  await rm(file, { force: true });
}

function listens({ host, port }: RunFile): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(false));
    socket.once('error', () => settle(false));
  });
}
