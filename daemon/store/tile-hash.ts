import { createHash, webcrypto } from 'node:crypto';

/**
 * SHA-256 of a tile. Computed beside the event loop, which it would hold up for a millisecond or more a tile; only shared
 * memory has to be hashed at once.
 * @param content stays as it is until this resolves
 */
export async function hashTile(content: Uint8Array): Promise<Uint8Array> {
  if (!(content.buffer instanceof ArrayBuffer)) return createHash('sha256').update(content).digest();
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', content));
}
