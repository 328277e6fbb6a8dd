import type { Batch } from './batch.ts';
import type { StoredFile } from './file-store.ts';

/** A file as OpenAI's API shows it. */
export const fileBody = ({ id, bytes, createdAt, filename, purpose }: StoredFile) => ({
  id,
  object: 'file',
  bytes,
  created_at: createdAt,
  filename,
  purpose,
  status: 'processed',
});

/** A batch as OpenAI's API shows it. */
export const batchBody = (batch: Batch) => ({
  id: batch.id,
  object: 'batch',
  endpoint: batch.endpoint,
  errors: batch.faults.length === 0 ? null : { object: 'list', data: batch.faults },
  input_file_id: batch.inputFileId,
  completion_window: batch.completionWindow,
  status: batch.status,
  output_file_id: batch.outputFileId,
  error_file_id: batch.errorFileId,
  created_at: batch.createdAt,
  in_progress_at: batch.inProgressAt,
  expires_at: batch.expiresAt,
  finalizing_at: batch.finalizingAt,
  completed_at: batch.completedAt,
  failed_at: batch.failedAt,
  expired_at: batch.expiredAt,
  cancelling_at: batch.cancellingAt,
  cancelled_at: batch.cancelledAt,
  request_counts: batch.counts,
  metadata: batch.metadata,
});

/**
 * A page of a list, as OpenAI's API shows it.
 * @param after id of the last one of the page before; the first page without, and where it is not known any more
 */
export function page<T extends { readonly id: string }>(items: readonly T[], after: string | null, limit: number) {
  const start = items.findIndex(({ id }) => id === after) + 1;
  const data = items.slice(start, start + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < items.length,
  };
}
