import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { percentile } from './bench-statistics.ts';
import { compileC } from './compile-c.ts';

export interface ReferenceStarOptions {
  /** Besides the centre, each a process. */
  readonly devices: number;
  /** To each device in a round, and from each. */
  readonly outBytes: number;
  readonly backBytes: number;
  /** For which each device and the centre are busy in a round. */
  readonly computeMs: number;
  readonly rounds: number;
  /** Whether they sleep until something comes, or look for it all the time. */
  readonly mode: 'blocking' | 'polling';
  /** The centre on core 0, devices on the others in turn. */
  readonly pin?: boolean;
}

export interface ReferenceStar {
  /** Microseconds of a round beyond `computeMs`: the middle one, and that which nine in ten do not exceed. */
  readonly p50Us: number;
  readonly p90Us: number;
  /** More processes than cores: they take turns, and a round has more than the star in it. */
  readonly sharedCores: boolean;
}

const LONGEST_MS = 600_000;
const MOST_OUTPUT = 2 ** 26;

/**
 * Measures a star over loopback TCP in C (star-reference.c), which Starling's own is compared with.
 * @throws Error without Linux or a C compiler
 */
export async function measureReferenceStar(options: ReferenceStarOptions): Promise<ReferenceStar> {
  if (process.platform !== 'linux') throw new Error('the reference star runs on Linux only');
  const { devices, outBytes, backBytes, computeMs, rounds, mode, pin = true } = options;
  const cores = availableParallelism();
  const program = await compileC('star-reference', ['-O2']);
  try {
    const numbers = [devices, outBytes, backBytes, Math.round(computeMs * 1e6), rounds, pin ? cores : 0].map(String);
    const limits = { timeout: LONGEST_MS, maxBuffer: MOST_OUTPUT };
    const { stdout } = await promisify(execFile)(program.path, [...numbers, mode], limits);
    const overheads = stdout.trim().split('\n').map(Number);
    return {
      p50Us: percentile(overheads, 0.5) / 1000,
      p90Us: percentile(overheads, 0.9) / 1000,
      sharedCores: devices + 1 > cores,
    };
  } finally {
    await program.remove();
  }
}
