import { parentPort, workerData } from 'node:worker_threads';
import { toStarlingError } from '../../../daemon/errors.ts';
import { plan } from './plan.ts';
import type { Planned, PlanTask } from './plan-aside.ts';

function planned(): Planned {
  try {
    return { plan: plan(...(workerData as PlanTask)) };
  } catch (thrown) {
    const { code, message } = toStarlingError(thrown);
    return { code, message };
  }
}

parentPort?.postMessage(planned());
