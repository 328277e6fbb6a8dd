import { parentPort, workerData } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { directStart, readFileInto } from '../engine/read-tile-file.ts';
import { PAGE, slotBytesFor } from '../engine/window-plan.ts';
import type { DiskFile } from './disk-files.ts';

/** What a reader is started with. */
export interface DiskReaderData {
  readonly files: readonly DiskFile[];
  /** Shared by all readers: the next file. */
  readonly next: Int32Array;
  /** No file is begun after so many milliseconds. */
  readonly mostMs: number;
}

/** What a reader tells when no file is left, or time is up: when it began and ended, as Date.now() counts. */
export interface DiskReading {
  readonly bytes: number;
  readonly begun: number;
  readonly ended: number;
}

/** Reads and checks files as a reader of streamed tiles does. */
function read({ files, next, mostMs }: DiskReaderData): DiskReading {
  const longest = Math.max(...files.map(({ bytes }) => bytes));
  const memory = new Uint8Array(slotBytesFor(longest) + PAGE);
  const start = directStart(
    files.map(({ file }) => file),
    memory.subarray(0, 2 * PAGE),
  );
  const slot = memory.subarray(start ?? 0, (start ?? 0) + slotBytesFor(longest));
  const begun = performance.timeOrigin + performance.now();
  let [bytes, ended] = [0, begun];
  while (ended - begun < mostMs) {
    const found = files[Atomics.add(next, 0, 1)];
    if (found === undefined) break;
    bytes += take(found.file, slot, start !== null);
    ended = performance.timeOrigin + performance.now();
  }
  return { bytes, begun, ended };
}

/** @returns bytes read; none of a tile that was removed meanwhile, or that the disk cannot read */
function take(file: string, slot: Uint8Array, direct: boolean): number {
  try {
    const length = readFileInto(file, slot, direct);
    crc32(slot.subarray(0, length));
    return length;
  } catch {
    return 0;
  }
}

parentPort?.postMessage(read(workerData as DiskReaderData));
