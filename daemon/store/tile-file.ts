import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** Bytes after a tile's content: its SHA-256. */
export const TRAILER_BYTES = 32;

/** Its SHA-256. */
export const hashOf = (content: Uint8Array): Buffer => createHash('sha256').update(content).digest();

/** Writes all of the bytes. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/**
 * Reads a tile of exactly `into.length` bytes and verifies it.
 * @returns what is wrong with the file, or null
 */
export async function readVerified(handle: FileHandle, into: Uint8Array): Promise<string | null> {
  const { size } = await handle.stat();
  const wanted = into.length + TRAILER_BYTES;
  if (size !== wanted) return `${size} bytes instead of ${wanted}`;
  const trailer = Buffer.alloc(TRAILER_BYTES);
  if (!(await readAll(handle, into, 0)) || !(await readAll(handle, trailer, into.length))) return 'it ended early';
  return hashOf(into).equals(trailer) ? null : 'its content does not match its hash';
}

async function readAll(handle: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
