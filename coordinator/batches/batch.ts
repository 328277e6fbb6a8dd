import { z } from 'zod';
import { newId } from './ids.ts';
import type { InputFault } from './request-line.ts';

const BATCH_STATES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchState = (typeof BATCH_STATES)[number];

const seconds = z.int().min(0).nullable();
const id = z.string().max(64);

export const batchSchema = z.object({
  version: z.literal(1),
  id,
  owner: z.string().max(64).nullable(),
  endpoint: z.string().max(256),
  completionWindow: z.string().max(16),
  inputFileId: id,
  /** Where results and failures go. */
  resultFiles: z.object({ output: id, error: id }),
  /** What of those the client may fetch: what is not empty, in the end. */
  outputFileId: id.nullable(),
  errorFileId: id.nullable(),
  status: z.enum(BATCH_STATES),
  faults: z.array(
    z.object({ code: z.string(), message: z.string(), param: z.string().nullable(), line: z.int().nullable() }),
  ),
  createdAt: z.int().min(0),
  expiresAt: z.int().min(0),
  inProgressAt: seconds,
  finalizingAt: seconds,
  completedAt: seconds,
  failedAt: seconds,
  expiredAt: seconds,
  cancellingAt: seconds,
  cancelledAt: seconds,
  counts: z.object({ total: z.int().min(0), completed: z.int().min(0), failed: z.int().min(0) }),
  metadata: z.record(z.string(), z.string()).nullable(),
});
/**
 * A batch as it is stored; times are seconds since 1970. `owner` is the name of the API key that it came with, null
 * without keys.
 *
 *     validating ──▶ in_progress ──▶ finalizing ──▶ completed
 *         │ └────▶ failed  │ └──────▶ expired
 *         └──▶ cancelling ◀┘ ───────▶ cancelled
 */
export type Batch = Readonly<z.infer<typeof batchSchema>>;
export type RequestCounts = Batch['counts'];

export interface BatchWish {
  readonly owner: string | null;
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
}

const NEVER = {
  inProgressAt: null,
  finalizingAt: null,
  completedAt: null,
  failedAt: null,
  expiredAt: null,
  cancellingAt: null,
  cancelledAt: null,
};

/** @param hours of its completion window @param now seconds since 1970, as of all that follow */
export function newBatch(wish: BatchWish, hours: number, now: number): Batch {
  return {
    ...NEVER,
    ...wish,
    version: 1,
    id: newId('batch'),
    resultFiles: { output: newId('file'), error: newId('file') },
    outputFileId: null,
    errorFileId: null,
    status: 'validating',
    faults: [],
    createdAt: now,
    expiresAt: now + hours * 3600,
    counts: { total: 0, completed: 0, failed: 0 },
  };
}

/** Whether nothing happens to it any more. */
export const hasEnded = ({ status }: Batch): boolean =>
  ['failed', 'completed', 'expired', 'cancelled'].includes(status);

/** Its input is right; one that was cancelled meanwhile stays so. */
export const begun = (batch: Batch, total: number, now: number): Batch =>
  batch.status === 'validating'
    ? { ...batch, status: 'in_progress', inProgressAt: now, counts: { ...batch.counts, total } }
    : batch;

/** Its input is wrong. */
export const failed = (batch: Batch, faults: readonly InputFault[], now: number): Batch =>
  batch.status === 'cancelling'
    ? batch
    : { ...batch, status: 'failed', failedAt: now, faults: faults.map((fault) => ({ ...fault })) };

/** Somebody wants no more of it: what comes too late changes nothing. */
export const cancelling = (batch: Batch, now: number): Batch =>
  batch.status === 'validating' || batch.status === 'in_progress'
    ? { ...batch, status: 'cancelling', cancellingAt: now }
    : batch;

/** Every request has its result. */
export const finalizing = (batch: Batch, now: number): Batch =>
  batch.status === 'in_progress' ? { ...batch, status: 'finalizing', finalizingAt: now } : batch;

/**
 * Its files are there: it is completed if it was finalizing, cancelled if that was wanted, and else it has run out of
 * time.
 */
export function ended(
  batch: Batch,
  result: Pick<Batch, 'outputFileId' | 'errorFileId' | 'counts'>,
  now: number,
): Batch {
  const done = { ...batch, ...result };
  if (batch.status === 'finalizing') return { ...done, status: 'completed', completedAt: now };
  if (batch.status === 'cancelling') return { ...done, status: 'cancelled', cancelledAt: now };
  return { ...done, status: 'expired', expiredAt: now };
}

/** Hours of a completion window, `24h` as a rule; null for what is none. */
export function windowHours(text: string): number | null {
  const hours = Number(/^([1-9]\d{0,2})h$/.exec(text)?.[1] ?? Number.NaN);
  return hours <= 168 ? hours : null;
}

/** Whether its time is over before it is done. @param now seconds since 1970 */
export const isOverdue = (batch: Batch, now: number): boolean =>
  batch.status === 'in_progress' && now >= batch.expiresAt;

/**
 * Which batches are to be worked on now: of each owner the oldest that is not done, so that nobody's many hold up
 * another's one; and those that only have to be brought to an end.
 * @param batches in order of creation @param now seconds since 1970
 */
export function nextBatches(batches: readonly Batch[], now: number): Batch[] {
  const live = batches.filter((batch) => !hasEnded(batch) && batch.status !== 'validating');
  const owners = new Set<string | null>();
  return live.filter((batch) => {
    const isFirst = !owners.has(batch.owner);
    owners.add(batch.owner);
    return isFirst || batch.status !== 'in_progress' || isOverdue(batch, now);
  });
}
