import { createHash, timingSafeEqual } from 'node:crypto';
import { StarlingError } from './errors.ts';

/** Bytes of a cluster key: 256 bits, so that a recorded handshake cannot be searched for the key. */
export const KEY_BYTES = 32;

const PREFIX = 'starling-key-';
const CHECK_BYTES = 4;
// RFC 4648 base32 in small letters: no 0, 1, 8 or 9, which people confuse with letters
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const DIGITS = Math.ceil(((KEY_BYTES + CHECK_BYTES) * 8) / 5);

/** The form in which people carry a key between devices: the prefix, then the key and a checksum in base32. */
export function formatKey(key: Uint8Array): string {
  const bytes = Buffer.concat([key, checksum(key)]);
  let text = PREFIX;
  for (let digit = 0; digit < DIGITS; digit++) {
    let value = 0;
    for (let bit = digit * 5; bit < digit * 5 + 5; bit++) {
      value = value * 2 + (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1);
    }
    text += ALPHABET[value];
  }
  return text;
}

/**
 * Reads a key that was typed or pasted: case and white space do not matter.
 * @returns the key, 32 bytes
 * @throws StarlingError key_invalid, with a message that never repeats the text
 */
export function parseKey(text: string): Buffer {
  const compact = text.slice(0, 1024).replace(/\s+/g, '').toLowerCase();
  if (!compact.startsWith(PREFIX)) {
    throw new StarlingError(
      'key_invalid',
      `a cluster key begins with ${PREFIX}; copy all of it from "starling key show"`,
    );
  }
  const digits = compact.slice(PREFIX.length);
  if (digits.length !== DIGITS) {
    throw new StarlingError(
      'key_invalid',
      `a cluster key has ${DIGITS} characters after ${PREFIX}, not ${digits.length}; copy all of it from "starling key show"`,
    );
  }
  const bytes = Buffer.alloc(KEY_BYTES + CHECK_BYTES);
  for (let digit = 0; digit < DIGITS; digit++) {
    const value = ALPHABET.indexOf(digits[digit] ?? '');
    if (value < 0) {
      throw new StarlingError(
        'key_invalid',
        `character ${digit + 1} after ${PREFIX} does not occur in cluster keys (letters and the digits 2 to 7 do)`,
      );
    }
    for (let bit = 0; bit < 5; bit++) {
      const at = digit * 5 + bit;
      if (at >> 3 < bytes.length) bytes[at >> 3]! |= ((value >> (4 - bit)) & 1) << (7 - (at & 7));
    }
  }
  const key = bytes.subarray(0, KEY_BYTES);
  // formatting again also refuses a last character whose unused bits are not zero
  if (!timingSafeEqual(bytes.subarray(KEY_BYTES), checksum(key)) || formatKey(key) !== compact) {
    throw new StarlingError('key_invalid', 'the cluster key is mistyped: its checksum does not match; copy it again');
  }
  return key;
}

function checksum(key: Uint8Array): Buffer {
  return createHash('sha256').update('starling key checksum').update(key).digest().subarray(0, CHECK_BYTES);
}
