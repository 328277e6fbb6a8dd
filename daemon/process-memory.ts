import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { obtainableMemory } from './available-memory.ts';

/**
 * By how much a process grows beyond what it has resident when its engine is created: the heap between two collections,
 * and network buffers for the widest steps. Measured with 64 rows of a 70B model: see docs/PERFORMANCE.md.
 */
const GROWTH_BYTES = 48e6;

/** What a thread has resident: its stack and heap, and the kernels' code; measured, with some room. */
const THREAD_BYTES = 11e6;

/** Share of the memory available that is used unless the owner says how much. */
const DEFAULT_SHARE = 3 / 4;

/**
 * What this process may have resident, and what it has without an engine; asked whenever it is given a share of a
 * model.
 */
export interface ProcessMemory {
  /** Bytes that the process and its children may have resident. */
  budget(): number;
  /** Bytes that they need besides an engine. */
  base(): Promise<number>;
  /** Bytes of a thread. */
  readonly threadBytes: number;
}

/**
 * @param budget bytes; by default a share of what is free when that is asked
 * @param childBytes what child processes will have resident
 */
export function processMemory(budget: number | undefined, childBytes = 0): ProcessMemory {
  return {
    threadBytes: THREAD_BYTES,
    budget: () => budget ?? defaultMemory(),
    base: async () => {
      return (await residentBytes()) + GROWTH_BYTES + childBytes;
    },
  };
}

/**
 * Bytes that Starling may use on this device unless the owner says how many: a share of what is free now, or used by
 * this process already. Limits of a container are respected.
 */
export function defaultMemory(): number {
  return Math.floor(obtainableMemory(process.memoryUsage.rss()) * DEFAULT_SHARE);
}

/** Bytes that this process has resident when it has let go of what it no longer needs. */
export async function residentBytes(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage.rss();
}

/**
 * Lets go of memory that nothing refers to any more; an arena would otherwise stay until its small handle is collected.
 */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Array buffers are freed after the collection that finds them, in the background.
  for (let round = 0; round < 2; round++) {
    collect();
    await nextTurn();
  }
}
