import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BenchThreads } from './bench-threads.ts';
import { type CompiledProgram, compileC } from './compile-c.ts';

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
const FLAGS = ['-O3', ...(process.arch === 'x64' ? ['-mavx2'] : []), '-pthread'];

/**
 * A C program, compiled here and now; where there is no compiler, Buffer.equals (memcmp) over the halves of a buffer.
 * @param bytes to read a thread and pass; a multiple of 4096
 * @param most threads that will be measured
 */
export async function openMemoryReader(bytes: number, most: number): Promise<MemoryReader> {
  let program: CompiledProgram | undefined;
  try {
    program = await compileC('memory-read', FLAGS);
    // A program that this processor cannot run fails here.
    await read(program.path, 1, 4096, 1);
  } catch (error) {
    await program?.remove();
    return compareReader(bytes, most, error instanceof Error ? error.message.split('\n', 1)[0]! : String(error));
  }
  const { path, remove } = program;
  return { by: 'memory-read.c', measure: (threads) => read(path, threads, bytes, PASSES), close: remove };
}

const exec = promisify(execFile);

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
