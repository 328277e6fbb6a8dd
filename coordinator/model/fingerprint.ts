import { createHash } from 'node:crypto';
import type { GgufFile } from './gguf/reader.ts';

const SAMPLE_BYTES = 4096;

/**
 * Identifies a model cheaply: the first 128 bits of SHA-256, as 32 hex digits, over each file's size and header and over
 * the first, middle and last 4 KiB of every tensor. Two fine-tunes of one model differ; so do the same weights split differently.
 * @throws StarlingError those of GgufFile.read
 */
export async function modelFingerprint(gguf: GgufFile): Promise<string> {
  const hash = createHash('sha256');
  hash.update('starling model 1\n');
  for (const part of gguf.parts) hash.update(`${part.size} ${part.headerSha256}\n`);
  // In file order, so that a spinning disk moves its head one way.
  const tensors = [...gguf.tensors.values()].sort((a, b) => a.file - b.file || a.offset - b.offset);
  const sample = new Uint8Array(SAMPLE_BYTES);
  for (const tensor of tensors) {
    const last = Math.max(0, tensor.byteLength - SAMPLE_BYTES);
    for (const offset of new Set([0, Math.floor(last / 2), last])) {
      const length = Math.min(SAMPLE_BYTES, tensor.byteLength - offset);
      await gguf.read(tensor, offset, length, sample);
      hash.update(sample.subarray(0, length));
    }
  }
  return hash.digest('hex').slice(0, 32);
}
