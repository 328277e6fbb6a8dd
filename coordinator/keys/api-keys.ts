import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { NamedKey } from './key-file.ts';

/** More than any key has: longer ones are refused unread. */
const LONGEST_SHOWN = 1024;

/** The headers in which clients show a key: OpenAI's and Anthropic's. */
export interface KeyHeaders {
  readonly authorization?: string | undefined;
  readonly xApiKey?: string | undefined;
}

/**
 * The keys that open an endpoint. Only digests under a secret of this process are held and compared, each shown key
 * with all of them: so the time that it takes tells neither which key is nearest, nor how long one is.
 */
export class ApiKeys {
  readonly #secret = randomBytes(32);
  readonly #names: readonly string[];
  readonly #digests: readonly Buffer[];

  /** @param keys their names and keys differ; see parseKeyFile */
  constructor(keys: readonly NamedKey[]) {
    this.#names = keys.map(({ name }) => name);
    this.#digests = keys.map(({ key }) => this.#digest(key));
  }

  /** Whose keys there are, in order; a bounded set of labels. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** The name of the key that a request shows, in one header or the other; null when it shows none that is known. */
  keyOf({ authorization, xApiKey }: KeyHeaders): string | null {
    const bearer = /^Bearer +(\S+) *$/i.exec(authorization?.slice(0, LONGEST_SHOWN) ?? '')?.[1];
    // Some clients send a placeholder in the one beside the key in the other.
    const found = [bearer, xApiKey?.trim()].map((key) => this.#nameOf(key ?? ''));
    return found[0] ?? found[1] ?? null;
  }

  #nameOf(key: string): string | null {
    if (key.length > LONGEST_SHOWN) return null;
    const digest = this.#digest(key);
    let place = 0;
    for (const [i, known] of this.#digests.entries()) place += Number(timingSafeEqual(digest, known)) * (i + 1);
    return this.#names[place - 1] ?? null;
  }

  #digest(key: string): Buffer {
    return createHmac('sha256', this.#secret).update(key).digest();
  }
}

/**
 * The user, for fair shares, of all requests with a key: the key alone, as a `user` field that changes from one to the
 * next would be given a share each time.
 */
export const userOfKey = (name: string): string => JSON.stringify({ key: name });
