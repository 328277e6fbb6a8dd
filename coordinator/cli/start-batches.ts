import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { Batches } from '../batches/batches.ts';
import type { TextService } from '../generation/text-service.ts';
import { BATCH_ENDPOINTS } from '../http/dialects/openai/served-batches.ts';
import { executeWith } from '../http/execute-request.ts';
import type { HttpServer } from '../http/server.ts';

/** Requests of batches that wait, so that a place that is free is taken at once. */
const WAITING = 2;

export interface StartBatchesOptions {
  readonly folder: string;
  readonly server: HttpServer;
  readonly service: TextService;
  readonly log: Logger;
}

/**
 * Goes on with the batches of this home.
 * @returns null, and says why, where that cannot be: another process has them, or the disk refuses
 */
export async function startBatches({ folder, server, service, log }: StartBatchesOptions): Promise<Batches | null> {
  const batches = new Batches({
    folder,
    endpoints: BATCH_ENDPOINTS,
    execute: executeWith((request, bindings) => server.ask(request, bindings)),
    parallel: () => service.mostRunning + WAITING,
    log,
  });
  try {
    await batches.start();
    return batches;
  } catch (thrown) {
    if (!(thrown instanceof StarlingError)) throw thrown;
    log.warn(`the model is served without files and batches: ${thrown.message}`);
    return null;
  }
}
