import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { READERS } from '../engine/reader-pool.ts';
import { THREAD_LIMITS } from '../engine/thread-pool.ts';
import { StarlingError } from '../errors.ts';
import type { TileStore } from '../store/tile-store.ts';
import { type DiskFile, diskFiles } from './disk-files.ts';
import type { DiskReaderData, DiskReading } from './disk-reader.ts';

/** Reading ends after this. */
const MOST_MS = 500;

/** What reading tiles takes. */
export interface DiskSpeed {
  /** Bytes a millisecond. */
  readonly rate: number;
  /** Of a core, for a byte. */
  readonly coreMs: number;
}

/**
 * Measures how fast tiles are read from the disk of a store and checked, by as many readers as an engine has.
 * @throws StarlingError store_failed when nothing at all could be read
 */
export async function measureDisk(store: TileStore): Promise<DiskSpeed> {
  const { files, remove } = await diskFiles(store);
  try {
    return await readRate(files);
  } finally {
    await remove();
  }
}

async function readRate(files: readonly DiskFile[]): Promise<DiskSpeed> {
  const workerData: DiskReaderData = { files, next: new Int32Array(new SharedArrayBuffer(4)), mostMs: MOST_MS };
  const workers = Array.from({ length: READERS }, () => {
    const url = new URL('./disk-reader.js', import.meta.url);
    return new Worker(url, { workerData, name: 'starling-disk', resourceLimits: THREAD_LIMITS });
  });
  try {
    const cpu = process.cpuUsage();
    const readings = (await Promise.all(workers.map((worker) => once(worker, 'message')))).flat() as DiskReading[];
    const { user, system } = process.cpuUsage(cpu);
    const bytes = readings.reduce((sum, reading) => sum + reading.bytes, 0);
    const reading = readings.filter((each) => each.bytes > 0);
    const ms = Math.max(...reading.map(({ ended }) => ended)) - Math.min(...reading.map(({ begun }) => begun));
    if (bytes === 0) throw new StarlingError('store_failed', 'no file of the disk could be read; check that disk');
    return { rate: bytes / Math.max(ms, 1e-3), coreMs: (user + system) / 1000 / bytes };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
