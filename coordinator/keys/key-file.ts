import { StarlingError } from '../../daemon/errors.ts';
import { readPrivateFile } from '../../daemon/private-file.ts';

/** A secret that a client shows, and what its owner is called. */
export interface NamedKey {
  readonly name: string;
  readonly key: string;
}

/** Keys of a file: each has a label in the metrics and a share of the computing. */
const MOST_KEYS = 256;
const MOST_BYTES = 256 * 1024;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** What a header can carry; below 16 characters a key could be guessed over the network. */
const KEY = /^[\x21-\x7e]{16,512}$/;

/**
 * Checks a key as a user gives it.
 * @param where what holds it, for the message, which never repeats the key
 * @throws StarlingError key_invalid
 */
export function checkApiKey(key: string, where: string): string {
  if (KEY.test(key)) return key;
  throw new StarlingError(
    'key_invalid',
    `${where}: a key has 16 to 512 characters, letters, digits and signs of ASCII without spaces; "openssl rand -hex 24" makes one`,
  );
}

/**
 * Reads lines of `NAME KEY`; those that begin with # and empty ones are passed over.
 * @param where the file, for messages, which name the line and never repeat a key
 * @throws StarlingError key_invalid
 */
export function parseKeyFile(text: string, where: string): NamedKey[] {
  const keys: NamedKey[] = [];
  const lineOfName = new Map<string, number>();
  const lineOfKey = new Map<string, number>();
  for (const [i, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0] === '' || words[0]!.startsWith('#')) continue;
    const at = `${where}, line ${i + 1}`;
    const [name = '', key = '', ...more] = words;
    if (key === '' || more.length > 0) throw invalid(at, 'a name and a key are expected, with a space between them');
    if (!NAME.test(name)) {
      throw invalid(
        at,
        'a name has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit',
      );
    }
    checkApiKey(key, at);
    const before = lineOfName.get(name);
    if (before !== undefined) throw invalid(at, `the name ${name} is that of line ${before} already; use another`);
    const same = lineOfKey.get(key);
    if (same !== undefined) throw invalid(at, `this is the key of line ${same} already; each name needs its own`);
    if (keys.length === MOST_KEYS) throw invalid(at, `a file holds at most ${MOST_KEYS} keys; remove some`);
    lineOfName.set(name, i + 1);
    lineOfKey.set(key, i + 1);
    keys.push({ name, key });
  }
  if (keys.length === 0) throw invalid(where, 'it holds no keys; a line is NAME KEY');
  return keys;
}

/** @throws StarlingError key_invalid when there is no such file, others can read it, or it is wrong in a line */
export async function loadKeyFile(file: string): Promise<NamedKey[]> {
  const text = await readPrivateFile(file, MOST_BYTES);
  if (text === null) throw new StarlingError('key_invalid', `there is no file ${file}; a line of it is NAME KEY`);
  return parseKeyFile(text, file);
}

const invalid = (where: string, why: string): StarlingError => new StarlingError('key_invalid', `${where}: ${why}`);
