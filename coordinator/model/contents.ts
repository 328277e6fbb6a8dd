import { createHash } from 'node:crypto';
import { StarlingError } from '../../daemon/errors.ts';
import type { GgufFile, GgufPart } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import { judgeZeros, type TensorZeros } from './unwritten-weights.ts';
import { ZeroRuns } from './zero-runs.ts';

/** What is known of a model's files once they were read through. */
export interface Contents {
  /** Of each file, as hex. */
  readonly sha256: readonly string[];
  /** Something about the weights that a user should know; null when all is well. */
  readonly warning: string | null;
}

export interface ReadContentsOptions {
  readonly onProgress?: (bytes: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** A multiple of a page; hashing it takes 3 ms with instructions for SHA-256, 30 ms without. */
const CHUNK_BYTES = 4 << 20;

/**
 * Reads all files of a model: their hashes, and whether weights were left unwritten. A gigabyte takes a second or less
 * of computing, and what the disk takes.
 * @throws StarlingError model_invalid when weights were left unwritten, cancelled, those of GgufFile.read
 */
export async function readContents(gguf: GgufFile, options: ReadContentsOptions = {}): Promise<Contents> {
  const total = gguf.parts.reduce((sum, { size }) => sum + size, 0);
  const sha256: string[] = [];
  const rows: TensorZeros[] = [];
  let before = 0;
  for (const [index, part] of gguf.parts.entries()) {
    const hash = createHash('sha256');
    const zeros = new ZeroRuns();
    for await (const chunk of chunks(gguf, index, part, options.signal)) {
      hash.update(chunk);
      zeros.push(chunk);
      before += chunk.length;
      options.onProgress?.({ done: before, total });
    }
    const tensors = [...gguf.tensors.values()].filter(({ file }) => file === index);
    const judged = judgeZeros(zeros.finish(), tensors);
    if (judged.torn[0] !== undefined) throw unwritten(part, judged.torn);
    rows.push(...judged.rows);
    sha256.push(hash.digest('hex'));
  }
  return { sha256, warning: rows.length === 0 ? null : warningOf(gguf, rows) };
}

/** The chunks of a file, each valid until the next is asked for; one is read while the last is used. */
async function* chunks(
  gguf: GgufFile,
  index: number,
  { size }: GgufPart,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const buffers = [0, 1].map(() => Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size)));
  const read = async (position: number): Promise<Buffer> => {
    const into = buffers[(position / CHUNK_BYTES) % 2]!.subarray(0, Math.min(CHUNK_BYTES, size - position));
    await gguf.readPart(index, position, into);
    return into;
  };
  let next = read(0);
  for (let position = 0; position < size; position += CHUNK_BYTES) {
    const chunk = await next;
    if (signal?.aborted) throw new StarlingError('cancelled', 'ended while the model file was read');
    if (position + CHUNK_BYTES < size) {
      next = read(position + CHUNK_BYTES);
      // It is awaited in the next round, unless the reader stops before.
      next.catch(() => {});
    }
    yield chunk;
  }
}

function unwritten(part: GgufPart, torn: readonly TensorZeros[]): StarlingError {
  const [{ tensor, from, to }] = torn as [TensorZeros];
  const others = torn.length > 1 ? `, and in ${torn.length - 1} other places` : '';
  return new StarlingError(
    'model_invalid',
    `${part.path} was not written whole: from byte ${tensor.offset + from} on there are ${to - from} zeros in the middle of tensor ${shown(tensor.name)}${others}; download it again, to the end`,
  );
}

function warningOf({ path }: GgufFile, rows: readonly TensorZeros[]): string {
  const names = [...new Set(rows.map(({ tensor }) => shown(tensor.name)))];
  const others = names.length > 3 ? ` and ${names.length - 3} others` : '';
  return `${path}: whole rows of weights are zero, in ${names.slice(0, 3).join(', ')}${others}; if answers make no sense, the file was not written whole: download it again`;
}
