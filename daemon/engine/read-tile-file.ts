import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { keepUncached } from '../../kernels/native.ts';
import { StarlingError } from '../errors.ts';
import { TRAILER_BYTES } from '../store/tile-file.ts';
import { systemCode } from '../system-error.ts';
import { PAGE } from './window-plan.ts';

/** Every start that memory aligned for kernels can have within a page. */
const STEP = 16;

/**
 * Where within the first page of `memory` direct reads may begin, found by trying: a SharedArrayBuffer does not say
 * where it lies.
 * @param files of which any that is there is read
 * @param memory two pages
 * @returns null when they cannot be read directly, as on a system or file system without direct I/O
 */
export function directStart(files: readonly string[], memory: Uint8Array): number | null {
  const file = files.find((path) => existsSync(path));
  if (file === undefined || constants.O_DIRECT === undefined) return null;
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return null;
  }
  try {
    for (let start = 0; start < PAGE; start += STEP) {
      try {
        readSync(descriptor, memory, start, PAGE, 0);
        return start;
      } catch (thrown) {
        if (systemCode(thrown) !== 'EINVAL') return null;
      }
    }
    return null;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Reads a tile's file and verifies its content.
 * @param slot a multiple of whole pages with room for content and trailer; gets both
 * @param bytes of the content
 * @param checksum CRC-32 of the content where that is known; otherwise the SHA-256 in the file is what it is checked
 * against, which takes several times as long
 * @returns the CRC-32 of the content
 * @throws StarlingError tile_missing, tile_damaged, store_failed
 */
export function readTileFile(
  file: string,
  slot: Uint8Array,
  bytes: number,
  checksum: number | null,
  direct: boolean,
): number {
  const length = readFileInto(file, slot, direct);
  const damaged = (what: string): StarlingError => new StarlingError('tile_damaged', `${file} is damaged (${what})`);
  if (length !== bytes + TRAILER_BYTES) throw damaged(`${length} bytes instead of ${bytes + TRAILER_BYTES}`);
  const content = slot.subarray(0, bytes);
  if (checksum === null) {
    const hash = createHash('sha256').update(content).digest();
    if (!hash.equals(slot.subarray(bytes, length))) throw damaged('its content does not match its hash');
    return crc32(content) | 0;
  }
  if ((crc32(content) | 0) !== checksum) throw damaged('its content has changed since it was verified');
  return checksum;
}

/**
 * Reads a file as tiles are read.
 * @param slot whole pages, at a page where reads are direct
 * @returns bytes read: the whole file, or as much as the slot holds
 * @throws StarlingError tile_missing, tile_damaged, store_failed
 */
export function readFileInto(file: string, slot: Uint8Array, direct: boolean): number {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0));
    if (!direct) keepUncached(descriptor);
    for (let done = 0; ; ) {
      const got = readSync(descriptor, slot, done, slot.length - done, done);
      done += got;
      // A direct read goes on at whole pages; one that ends elsewhere has met the end of the file.
      if (got > 0 && done < slot.length && !(direct && done % PAGE !== 0)) continue;
      if (!direct) keepUncached(descriptor);
      return done;
    }
  } catch (thrown) {
    const code = systemCode(thrown) ?? String(thrown);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new StarlingError('tile_missing', `${file} is gone`);
    // A sector that the disk cannot read: the tile can be had elsewhere.
    if (code === 'EIO') throw new StarlingError('tile_damaged', `${file} cannot be read from the disk (${code})`);
    throw new StarlingError('store_failed', `cannot read ${file} (${code}); check the disk and the folder's rights`, {
      cause: thrown,
    });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
