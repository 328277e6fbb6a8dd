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

/** A batch as OpenAI's API shows it: what there is not of it is undefined, and so left out of JSON. */
export const batchBody = (batch: Batch) => ({
  id: batch.id,
  object: 'batch',
  endpoint: batch.endpoint,
  errors: batch.faults.length === 0 ? undefined : { object: 'list', data: batch.faults },
  input_file_id: batch.inputFileId,
  completion_window: batch.completionWindow,
  status: batch.status,
  output_file_id: batch.outputFileId ?? undefined,
  error_file_id: batch.errorFileId ?? undefined,
  created_at: batch.createdAt,
  in_progress_at: batch.inProgressAt ?? undefined,
  expires_at: batch.expiresAt,
  finalizing_at: batch.finalizingAt ?? undefined,
  completed_at: batch.completedAt ?? undefined,
  failed_at: batch.failedAt ?? undefined,
  expired_at: batch.expiredAt ?? undefined,
  cancelling_at: batch.cancellingAt ?? undefined,
  cancelled_at: batch.cancelledAt ?? undefined,
  request_counts: batch.counts,
  metadata: batch.metadata ?? undefined,
});

/**
 * A page of a list, as OpenAI's API shows it; one without anything has empty ids.
 * @param after id of the last one of the page before; the first page without, and where it is not known any more
 */
export function page<T extends { readonly id: string }>(items: readonly T[], after: string | null, limit: number) {
  const start = items.findIndex(({ id }) => id === after) + 1;
  const data = items.slice(start, start + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? '',
    last_id: data.at(-1)?.id ?? '',
    has_more: start + limit < items.length,
  };
}
