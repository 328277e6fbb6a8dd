import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { lstat, open, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemCode } from './system-error.ts';

/** Of a life sign: 8 digits for the kernel that the process runs on, 8 of its own. */
export const LIFE_ID = '[0-9a-f]{8}-[0-9a-f]{8}';
const SUFFIX = '.alive';
const SIGN = new RegExp(`^(${LIFE_ID})\\${SUFFIX}$`);
/** A socket that is not yet listened at must not be taken for that of a dead process. */
const UNFINISHED_SUFFIX = '.new';
const UNFINISHED = new RegExp(`^${LIFE_ID}\\${UNFINISHED_SUFFIX}$`);

/** Between two touches of a sign. */
const BEAT_MS = 10_000;
/**
 * After that long without a touch a process counts as dead where nothing else tells: some beats, as a machine may be
 * very busy.
 */
const STALE_MS = 60_000;

/** macOS takes 104 bytes with the zero at the end, Linux 108. */
const LONGEST_SOCKET_PATH = 103;
/**
 * How a socket answers whose process is dead, or that was removed with it. Any other answer may come from one that
 * lives.
 */
const DEAD: readonly string[] = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK', 'ENOTDIR'];

/** What shows other processes that this one lives. */
export interface LifeSign {
  readonly id: string;
  remove(): Promise<void>;
}

/**
 * Shows in a folder that this process lives, to all that share the folder, until the sign is removed or the process
 * ends, however it ends. A process number could not: it is given again, and another process has it in another
 * container.
 *
 * The sign is a socket at which the process listens, as the system itself closes it with the process: one that is dead
 * refuses, one that is merely stopped does not. Another kernel (a network drive, a virtual machine) cannot ask a
 * socket, and some file systems have none; there the sign is touched every 10 s, and where the socket cannot tell, one
 * untouched for a minute is dead. A lock of the file would need the native addon, which not every device has.
 * @param distant whether other kernels may share the folder; without, an idle device writes nothing to its disk
 * @throws the system's error where the folder can hold no sign
 */
export async function showLife(folder: string, distant = false): Promise<LifeSign> {
  const id = `${kernelId()}-${randomBytes(4).toString('hex')}`;
  const file = join(folder, id + SUFFIX);
  const server = await listenAt(folder, id);
  if (server === null) await writeFile(file, '', { flag: 'wx' });
  const touch = (): void => {
    const now = new Date();
    // Whoever removed it, or the whole folder, wanted it so.
    utimes(file, now, now).catch(() => {});
  };
  const beat = server === null || distant ? setInterval(touch, BEAT_MS).unref() : undefined;
  return {
    id,
    remove: async () => {
      clearInterval(beat);
      await rm(file, { force: true });
      server?.close();
    },
  };
}

/** Whether the process lives whose sign in the folder has this id. */
export async function lives(folder: string, id: string): Promise<boolean> {
  const found = await lstat(join(folder, id + SUFFIX)).catch(() => null);
  if (found === null) return false;
  if (found.isSocket() && id.startsWith(kernelId())) return answers(folder, id + SUFFIX);
  return Math.abs(Date.now() - found.mtimeMs) < STALE_MS;
}

/**
 * The ids of all signs in a folder, of the living and the dead; none where there is no such folder.
 * @throws the system's error
 */
export async function signsIn(folder: string): Promise<string[]> {
  return (await namesIn(folder)).flatMap((name) => SIGN.exec(name)?.[1] ?? []);
}

/** Removes the signs that the dead left in a folder. @throws the system's error */
export async function removeDeadSigns(folder: string): Promise<void> {
  for (const id of await signsIn(folder)) {
    if (!(await lives(folder, id))) await rm(join(folder, id + SUFFIX), { force: true });
  }
  for (const name of (await namesIn(folder)).filter((each) => UNFINISHED.test(each))) {
    if (await isOld(join(folder, name))) await rm(join(folder, name), { force: true });
  }
}

/** Whether a file was last written longer ago than anybody takes to write a small one. */
export async function isOld(file: string): Promise<boolean> {
  const found = await lstat(file).catch(() => null);
  return found !== null && Math.abs(Date.now() - found.mtimeMs) > STALE_MS;
}

/** A sign that is shown in a store, which may be on a network drive, while anybody in this process holds it. */
export class SharedLifeSign {
  readonly #folder: string;
  #holders = 0;
  #shown: Promise<LifeSign> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns to be removed by each holder @throws as `showLife` */
  async hold(): Promise<LifeSign> {
    this.#holders++;
    this.#shown ??= showLife(this.#folder, true);
    const shown = this.#shown;
    let held = true;
    const release = async (): Promise<void> => {
      if (!held) return;
      held = false;
      if (--this.#holders > 0) return;
      this.#shown = undefined;
      await (await shown).remove();
    };
    try {
      const { id } = await shown;
      return { id, remove: release };
    } catch (error) {
      if (--this.#holders === 0) this.#shown = undefined;
      throw error;
    }
  }
}

/** Listens at a sign's socket, which anybody may connect to that reaches the folder; null where there can be none. */
async function listenAt(folder: string, id: string): Promise<Server | null> {
  if (process.platform === 'win32') return null;
  // Whoever asks has its answer once it is connected.
  const server = createServer((socket) => socket.destroy());
  const unfinished = id + UNFINISHED_SUFFIX;
  try {
    await withShortPath(
      folder,
      unfinished,
      (path) =>
        new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen({ path, readableAll: true, writableAll: true }, resolve);
        }),
    );
    // A connection that cannot be taken, for want of files, has told what it is to tell.
    server.removeAllListeners('error').on('error', () => {});
    server.unref();
    if (!(await answers(folder, unfinished)))
      throw new Error('a file system that keeps sockets, but not what they lead to');
    await rename(join(folder, unfinished), join(folder, id + SUFFIX));
    return server;
  } catch {
    server.close();
    await rm(join(folder, unfinished), { force: true }).catch(() => {});
    return null;
  }
}

/** Whether a process listens at a socket, or may. */
async function answers(folder: string, name: string): Promise<boolean> {
  try {
    await withShortPath(
      folder,
      name,
      (path) =>
        new Promise<void>((resolve, reject) => {
          const socket = connect({ path });
          socket.once('connect', () => resolve(void socket.destroy()));
          socket.once('error', reject);
        }),
    );
    return true;
  } catch (thrown) {
    return !DEAD.includes(systemCode(thrown) ?? '');
  }
}

/**
 * Names a file of a folder, by way of the open folder where the path is too long for a socket: Linux alone has that
 * way.
 */
async function withShortPath<T>(folder: string, name: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return use(path);
  const handle = await open(folder, 'r');
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`);
  } finally {
    await handle.close();
  }
}

/** Tells kernels apart: all containers of a machine have one, until it starts again. */
function kernelId(): string {
  const told = process.platform === 'linux' ? bootId() : hostname();
  return createHash('sha256').update(told).digest('hex').slice(0, 8);
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  } catch {
    return hostname();
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(thrown) ?? '')) return [];
    throw thrown;
  }
}
