import type { Job } from './job.ts';
import type { StepCost } from './step-cost.ts';

/** While somebody reads along, a step should take no longer than this; */
const TARGET_MS = 200;
/** while all is batch work, than this, which somebody who comes may then have to wait before anything happens; */
const BATCH_TARGET_MS = 1000;
/** or, where a single row takes long, than this many times that. */
const STRETCH = 4;

/** Rows of a step that is as long as those who are here may find it. */
export function rowsInTime(cost: StepCost, ...groups: readonly Iterable<Job>[]): number {
  const single = cost.ms(1);
  const target = groups.some(hasReader) ? TARGET_MS : BATCH_TARGET_MS;
  return cost.rowsWithin(Math.max(target, Number.isNaN(single) ? 0 : STRETCH * single));
}

/** Whether somebody waits for tokens as they come. */
function hasReader(jobs: Iterable<Job>): boolean {
  for (const { priority, paused } of jobs) if (priority === 'interactive' && !paused) return true;
  return false;
}
