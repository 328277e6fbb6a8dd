import { createHash } from 'node:crypto';

/**
 * Identifies a model by all of its bytes: the first 128 bits of SHA-256, as 32 hex digits, over the SHA-256 of each of
 * its files. Nothing less would do: tiles in a store are found by it, and those of a damaged file must not be taken for
 * those of a whole one.
 * @param sha256 hex, one a file, in their order
 */
export function modelFingerprint(sha256: readonly string[]): string {
  return createHash('sha256')
    .update(`starling model 2\n${sha256.join('\n')}\n`)
    .digest('hex')
    .slice(0, 32);
}
