import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import si from 'systeminformation';

/** systeminformation asks other programs, which can hang or take long. */
const ASK_MS = 2000;

/**
 * Physical cores that this process may use; virtual machines and some boards report none, then all logical ones count.
 */
export async function physicalCores(): Promise<number> {
  const logical = availableParallelism();
  const cpu = await Promise.race([si.cpu().catch(() => undefined), sleep(ASK_MS, undefined, { ref: false })]);
  const physical = cpu?.physicalCores ?? 0;
  return physical > 0 ? Math.min(physical, logical) : logical;
}

/**
 * Compute threads unless told otherwise: a thread a physical core, one core left to the system when there are more than
 * four.
 */
export function defaultThreads(cores: number): number {
  return cores > 4 ? cores - 1 : cores;
}
