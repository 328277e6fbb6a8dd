import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../daemon/paths.ts';
import { BenchThreads } from './bench-threads.ts';

/** Measures how fast threads can read memory in order, and no more than that: what a kernel is compared with. */
export interface MemoryReader {
  /** What reads, and why it is not the first choice where it is not. */
  readonly by: string;
  /** @returns GB/s of some passes, by all threads together */
  measure(threads: number): Promise<number[]>;
  close(): Promise<void>;
}

const PASSES = 5;
const LONGEST_MS = 60_000;

/**
 * A C program, compiled here and now; where there is no compiler, Buffer.equals (memcmp) over the halves of a buffer.
 * @param bytes to read a thread and pass; a multiple of 4096
 * @param most threads that will be measured
 */
export async function openMemoryReader(bytes: number, most: number): Promise<MemoryReader> {
  const folder = await mkdtemp(join(tmpdir(), 'starling-memory-'));
  const program = join(folder, 'memory-read');
  try {
    await compile(program);
    // A program that this processor cannot run fails here.
    await read(program, 1, 4096, 1);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    return compareReader(bytes, most, error instanceof Error ? error.message.split('\n', 1)[0]! : String(error));
  }
  return {
    by: 'memory-read.c',
    measure: (threads) => read(program, threads, bytes, PASSES),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

const exec = promisify(execFile);

async function compile(program: string): Promise<void> {
  const source = join(packageRoot(), 'scripts/memory-read.c');
  const flags = ['-O3', ...(process.arch === 'x64' ? ['-mavx2'] : []), '-pthread'];
  await exec(process.env.CC || 'cc', [...flags, source, '-o', program], { timeout: LONGEST_MS });
}

async function read(program: string, threads: number, bytes: number, passes: number): Promise<number[]> {
  const { stdout } = await exec(program, [threads, bytes, passes].map(String), { timeout: LONGEST_MS });
  const rates = stdout.trim().split('\n').map(Number);
  if (rates.length !== passes || !rates.every((rate) => rate > 0)) throw new Error(`memory-read printed ${stdout}`);
  return rates;
}

async function compareReader(bytes: number, most: number, why: string): Promise<MemoryReader> {
  const threads = await BenchThreads.start(Array.from({ length: most }, () => null));
  return {
    by: `Buffer.equals, since memory-read.c did not compile or run (${why})`,
    measure: async (count) => {
      const works = Array.from({ length: count }, () => ({ op: 'compare' as const, bytes }));
      const rates: number[] = [];
      for (let pass = 0; pass < PASSES; pass++) rates.push((bytes * count) / (await threads.measure(works, 0)) / 1e9);
      return rates;
    },
    close: () => threads.stop(),
  };
}
