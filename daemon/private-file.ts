import { open } from 'node:fs/promises';
import { StarlingError } from './errors.ts';
import { systemCode } from './system-error.ts';

/**
 * Reads a small text file that holds secrets.
 * @param most bytes that it may have
 * @returns null when there is no such file
 * @throws StarlingError key_invalid when other users can read or write it, when it is longer, or when it cannot be read
 */
export async function readPrivateFile(file: string, most: number): Promise<string | null> {
  try {
    const handle = await open(file, 'r');
    try {
      const { mode } = await handle.stat();
      if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
        throw new StarlingError(
          'key_invalid',
          `other users of this machine can read ${file}; run: chmod 600 "${file}"`,
        );
      }
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(most + 1), 0, most + 1, 0);
      if (bytesRead > most) {
        throw new StarlingError('key_invalid', `${file} is longer than ${most} bytes; is it the right file?`);
      }
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (thrown instanceof StarlingError) throw thrown;
    if (systemCode(thrown) === 'ENOENT') return null;
    throw new StarlingError('key_invalid', `cannot read ${file} (${systemCode(thrown)}); check its rights`, {
      cause: thrown,
    });
  }
}
