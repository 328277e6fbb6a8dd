import { hkdfSync, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { writeFileAtomic } from './atomic-file.ts';
import { fileError, StarlingError } from './errors.ts';
import { formatKey, KEY_BYTES, parseKey } from './key-text.ts';
import { readPrivateFile } from './private-file.ts';

const LONGEST_FILE = 1024;

/** The secret that makes devices one cluster. Printing, logging or serialising it shows its id only. */
export class ClusterKey {
  readonly #bytes: Buffer;
  /** 8 hexadecimal digits derived one-way from the key: tells clusters apart, and may be public. */
  readonly keyId: string;
  /** 32 bytes, derived for TLS alone. */
  readonly #psk: Buffer;

  /** @param bytes 32 random bytes */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== KEY_BYTES) throw new RangeError(`a cluster key has ${KEY_BYTES} bytes, not ${bytes.length}`);
    this.#bytes = Buffer.from(bytes);
    this.keyId = this.#derive('starling key id 1', 4).toString('hex');
    this.#psk = this.#derive('starling tls psk 1', 32);
  }

  static generate(): ClusterKey {
    return new ClusterKey(randomBytes(KEY_BYTES));
  }

  /** @throws StarlingError key_invalid for a mistyped key */
  static parse(text: string): ClusterKey {
    return new ClusterKey(parseKey(text));
  }

  /** The text that people copy. Secret. */
  toText(): string {
    return formatKey(this.#bytes);
  }

  /** The pre-shared key of TLS links. Secret. */
  psk(): Buffer {
    return this.#psk;
  }

  equals(other: ClusterKey): boolean {
    return this.#bytes.equals(other.#bytes);
  }

  toString(): string {
    return `[cluster key ${this.keyId}]`;
  }

  toJSON(): { keyId: string } {
    return { keyId: this.keyId };
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** HKDF-SHA256 (RFC 5869) with one label a purpose, so that nothing public or handed on leads back to the key. */
  #derive(label: string, length: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, Buffer.alloc(0), label, length));
  }
}

/**
 * @throws StarlingError no_key when there is no such file; key_invalid when it is damaged, readable by other users, or
 * cannot be read
 */
export async function loadKey(file: string): Promise<ClusterKey> {
  const text = await readPrivateFile(file, LONGEST_FILE);
  if (text === null) {
    throw new StarlingError(
      'no_key',
      `no cluster key at ${file}; run "starling key new" on the first device, then "starling key import" on the others`,
    );
  }
  try {
    return ClusterKey.parse(text);
  } catch (thrown) {
    const why = thrown instanceof StarlingError ? thrown.message : 'it is damaged';
    throw new StarlingError('key_invalid', `the cluster key in ${file} cannot be used: ${why}`);
  }
}

/**
 * Stores a key with mode 0600.
 * @throws StarlingError invalid_argument when there is a different key already and `force` is not set; store_failed
 */
export async function importKey(file: string, key: ClusterKey, force = false): Promise<void> {
  let written: boolean;
  try {
    written = await writeFileAtomic(file, `${key.toText()}\n`, { mode: 0o600, overwrite: force });
  } catch (thrown) {
    throw fileError(thrown, 'write', file);
  }
  if (written) return;
  const present = await loadKey(file).catch(() => null);
  if (present?.equals(key)) return;
  const which = present === null ? 'a file that is no usable key' : `the key ${present.keyId}`;
  throw new StarlingError(
    'invalid_argument',
    `${file} already holds ${which}; replacing it cuts this device off from that cluster: repeat with --force to do so`,
  );
}

/** Makes a new key and stores it; errors as for `importKey`. */
export async function createKey(file: string, force = false): Promise<ClusterKey> {
  const key = ClusterKey.generate();
  await importKey(file, key, force);
  return key;
}

/** The stored key, or a new one where there is none; errors as for `loadKey` and `importKey`. */
export async function loadOrCreateKey(file: string): Promise<{ key: ClusterKey; created: boolean }> {
  try {
    return { key: await loadKey(file), created: false };
  } catch (thrown) {
    if (!(thrown instanceof StarlingError) || thrown.code !== 'no_key') throw thrown;
  }
  try {
    return { key: await createKey(file), created: true };
  } catch (thrown) {
    // another process of this device was first
    if (!(thrown instanceof StarlingError) || thrown.code !== 'invalid_argument') throw thrown;
    return { key: await loadKey(file), created: false };
  }
}
