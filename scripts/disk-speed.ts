import { randomFillSync } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { directStart } from '../daemon/engine/read-tile-file.ts';

/** Far more than any cache of a disk. */
const DEFAULT_BYTES = 4 * 2 ** 30;
const READ_BYTES = 2 ** 21;
/** Reads under way at a time; what the fastest number of them reaches is the disk's speed. */
const READERS = [2, 4, 8, 16] as const;

interface ReaderTask {
  readonly file: string;
  readonly bytes: number;
  readonly reader: number;
  readonly readers: number;
}

/**
 * Bytes per second of raw sequential reads that bypass the system's cache, of a file in the folder that is kept there.
 */
export async function directReadSpeed(folder: string, bytes = DEFAULT_BYTES): Promise<number> {
  const file = join(folder, 'disk-speed.bin');
  await writeFileOnce(file, folder, bytes);
  let best = 0;
  for (const readers of READERS) {
    const begun = performance.now();
    await Promise.all(
      Array.from({ length: readers }, (_, reader) => {
        const task: ReaderTask = { file, bytes, reader, readers };
        const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
        return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      }),
    );
    best = Math.max(best, (bytes * 1000) / (performance.now() - begun));
  }
  return best;
}

async function writeFileOnce(file: string, folder: string, bytes: number): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found?.size === bytes) return;
  await mkdir(folder, { recursive: true });
  const handle = await open(file, 'w');
  try {
    const block = randomFillSync(new Uint8Array(2 ** 24));
    for (let at = 0; at < bytes; at += block.length) {
      // No block like another, for disks that store equal ones once.
      new DataView(block.buffer).setFloat64(0, at);
      await handle.write(block, 0, block.length, at);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads every `readers`-th piece. */
function read({ file, bytes, reader, readers }: ReaderTask): void {
  const memory = new Uint8Array(new SharedArrayBuffer(READ_BYTES + 2 * 4096));
  const start = directStart([file], memory);
  if (start === null) throw new Error(`${file} cannot be read directly; keep the tiles on another file system`);
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_DIRECT);
  for (let at = reader * READ_BYTES; at < bytes; at += readers * READ_BYTES) {
    readSync(descriptor, memory, start, READ_BYTES, at);
  }
  closeSync(descriptor);
  parentPort?.postMessage('done');
}

if (!isMainThread && (workerData as Partial<ReaderTask> | null)?.readers !== undefined) read(workerData as ReaderTask);
