import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, StarlingError } from '../../../daemon/errors.ts';
import type { Plan, plan } from './plan.ts';

/** What a planning thread is started with: what `plan` takes. */
export type PlanTask = Parameters<typeof plan>;

/** What it answers. */
export type Planned = { readonly plan: Plan } | { readonly code: ErrorCode; readonly message: string };

/**
 * As `plan`, in a thread of its own: on a slow computer it takes longer than devices wait for a sign of life.
 * @throws StarlingError as `plan`
 */
export async function planAside(...task: PlanTask): Promise<Plan> {
  const worker = new Worker(new URL('./plan-thread.js', import.meta.url), { workerData: task, name: 'starling-plan' });
  try {
    const [planned] = (await once(worker, 'message')) as [Planned];
    if ('plan' in planned) return planned.plan;
    throw new StarlingError(planned.code, planned.message);
  } finally {
    await worker.terminate();
  }
}
