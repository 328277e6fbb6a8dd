import { StarlingError } from '../../../../daemon/errors.ts';
import type { Batches } from '../../../batches/batches.ts';
import type { ApiContext } from '../../api-context.ts';

/** Where requests of a batch may go. */
export const BATCH_ENDPOINTS: readonly string[] = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
];

/** @throws StarlingError batches_unavailable */
export function batchesOf({ batches }: ApiContext): Batches {
  if (batches !== null) return batches;
  throw new StarlingError(
    'batches_unavailable',
    'this endpoint has no files and no batches: it is that of a demo, or its log says why',
  );
}
