import { randomBytes } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { z } from 'zod';
import { writeFileAtomic } from './atomic-file.ts';
import { fileError, StarlingError } from './errors.ts';
import { systemCode } from './system-error.ts';

/** Who this device is. The id is made once and stays; the name is for people and follows the host name. */
export interface Identity {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** Set when the stored identity was damaged and a new one was made. */
  readonly warning?: string;
}

export const DEVICE_ID = /^[0-9a-f]{16}$/;

const stored = z.strictObject({ version: z.literal(1), id: z.string().regex(DEVICE_ID) });

const LONGEST_FILE = 4096;

/**
 * A name for people: the host name up to its first dot (mDNS allows no dots), unprintable characters removed, at most
 * 63 bytes, since it travels in a DNS label and a TXT record.
 */
export function deviceName(host: string): string {
  const label = (host.split('.')[0] ?? '').replace(/[^\p{L}\p{N} _-]/gu, '').trim();
  let name = '';
  for (const character of label) {
    if (Buffer.byteLength(name + character) > 63) break;
    name += character;
  }
  return name || 'device';
}

/**
 * Reads the identity, or makes it on the first run. A damaged file is set aside as FILE.damaged and replaced,
 * which the result's `warning` tells.
 * @throws StarlingError store_failed when the file can be neither read nor written
 */
export async function loadIdentity(file: string, host: string = hostname()): Promise<Identity> {
  const name = deviceName(host);
  try {
    const text = await readSmall(file);
    const id = text === null ? null : parse(text);
    if (id !== null) return { id, name };
    if (text === null) return { id: await create(file), name };
    await rename(file, `${file}.damaged`);
    const fresh = await create(file);
    const warning = `${file} was damaged, so this device has a new id (${fresh}); the old file is kept as ${file}.damaged`;
    return { id: fresh, name, warning };
  } catch (thrown) {
    if (thrown instanceof StarlingError) throw thrown;
    throw fileError(thrown, 'read or write', file);
  }
}

async function create(file: string): Promise<string> {
  const id = randomBytes(8).toString('hex');
  if (await writeFileAtomic(file, `${JSON.stringify({ version: 1, id })}\n`, { mode: 0o600, overwrite: false }))
    return id;
  // another process of this device was first
  const theirs = parse((await readSmall(file)) ?? '');
  if (theirs === null) {
    throw new StarlingError('store_failed', `${file} is damaged; remove it and start again`);
  }
  return theirs;
}

function parse(text: string): string | null {
  try {
    return stored.parse(JSON.parse(text)).id;
  } catch {
    return null;
  }
}

/** The start of a file, or null when there is none. */
async function readSmall(file: string): Promise<string | null> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST_FILE), 0, LONGEST_FILE, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null;
    throw thrown;
  }
}
