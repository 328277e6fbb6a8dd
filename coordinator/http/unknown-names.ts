import type { Logger } from '../../daemon/log.ts';

/** Most names that are told: a client may think of new ones without end. */
const MOST = 100;
const MAX_NAME = 64;

/** Tells the owner once of each field that clients send and nobody here knows: it may be a demand that is not met. */
export class UnknownNames {
  readonly #log: Logger;
  readonly #told = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  tell(names: readonly string[]): void {
    for (const name of names) {
      const field = name.slice(0, MAX_NAME);
      if (this.#told.has(field)) continue;
      if (this.#told.size >= MOST) return;
      this.#told.add(field);
      this.#log.warn({ field }, 'a client sent a field that is not known here; it is ignored');
    }
  }
}
