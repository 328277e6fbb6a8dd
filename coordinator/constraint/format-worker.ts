import { parentPort } from 'node:worker_threads';
import { type ErrorCode, toStarlingError } from '../../daemon/errors.ts';
import type { NetworkTables } from './network.ts';
import { networkTables } from './network-builder.ts';
import { formatGrammar, type OutputFormat } from './output-format.ts';
import { type Pieces, type VocabularyTables, vocabularyTables } from './vocabulary-tables.ts';

/** Work of the thread: a format, as JSON, or a vocabulary. */
export type FormatJob =
  | { readonly kind: 'network'; readonly format: string }
  | { readonly kind: 'vocabulary'; readonly pieces: Pieces };

export type FormatReply =
  | { readonly kind: 'network'; readonly tables: NetworkTables }
  | { readonly kind: 'vocabulary'; readonly tables: VocabularyTables }
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly message: string; readonly param: string | undefined };

parentPort?.on('message', (job: FormatJob) => {
  const reply = answer(job);
  parentPort?.postMessage(reply, buffersOf(reply));
});

function answer(job: FormatJob): FormatReply {
  try {
    if (job.kind === 'vocabulary') return { kind: 'vocabulary', tables: vocabularyTables(job.pieces) };
    return { kind: 'network', tables: networkTables(formatGrammar(JSON.parse(job.format) as OutputFormat)) };
  } catch (thrown) {
    const { code, message, param } = toStarlingError(thrown);
    return { kind: 'error', code, message, param };
  }
}

/** Of all arrays, which are handed over and not copied. */
function buffersOf(reply: FormatReply): ArrayBuffer[] {
  if (reply.kind === 'error') return [];
  const parts =
    reply.kind === 'network'
      ? [reply.tables, reply.tables.bytes, reply.tables.empty, reply.tables.calls]
      : [reply.tables.plain, reply.tables.all, reply.tables.others];
  return parts.flatMap((part) => Object.values(part).flatMap((value) => (isOwnArray(value) ? [value.buffer] : [])));
}

function isOwnArray(value: unknown): value is ArrayBufferView & { readonly buffer: ArrayBuffer } {
  return ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer;
}
