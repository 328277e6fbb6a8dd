import type { Logger } from '../../daemon/log.ts';
import { unknownFields } from './check-fields.ts';
import type { TextRoute } from './field.ts';

/** Most names that are told: a client may think of new ones without end. */
const MOST = 100;
const MAX_NAME = 64;

/** Tells the owner once of each field that clients send and nobody here knows: it may be a demand that is not met. */
export class UnknownFields {
  readonly #log: Logger;
  readonly #told = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  tell(route: TextRoute, body: Readonly<Record<string, unknown>>): void {
    if (this.#told.size >= MOST) return;
    for (const name of unknownFields(route, body)) {
      const short = name.slice(0, MAX_NAME);
      if (this.#told.has(short)) continue;
      if (this.#told.size >= MOST) return;
      this.#told.add(short);
      this.#log.warn({ field: short }, 'a client sent a field that is not known here; it is ignored');
    }
  }
}
