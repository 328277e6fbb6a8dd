import { StarlingError } from '../../../../../daemon/errors.ts';
import type { Item, OutputItem } from './items.ts';

/** A response that is kept. */
export interface StoredResponse {
  /** As clients are shown it. */
  readonly body: { readonly id: string; readonly output: readonly OutputItem[] };
  /** All that the model read, of the responses before as well. */
  readonly input: readonly Item[];
}

interface Entry {
  readonly owner: string | null;
  readonly response: StoredResponse;
  readonly bytes: number;
}

/** Some hundreds of long conversations, in a corner of the memory of a computer that computes a model. */
const STORE_LIMITS = { responses: 1000, bytes: 64 * 1024 * 1024 };

/** Of text in memory, at most. */
const BYTES_PER_CHARACTER = 2;

/**
 * The latest responses, in memory alone, so that conversations go on without being sent again. Those that were not
 * asked for longest are forgotten first. What a response has in common with the one before it is counted twice and held
 * once.
 */
export class ResponseStore {
  readonly #limits: { readonly responses: number; readonly bytes: number };
  /** The one that was asked for last is the last. */
  readonly #entries = new Map<string, Entry>();
  /** Which response wrote an item. */
  readonly #writers = new Map<string, string>();
  #bytes = 0;

  constructor(limits: { readonly responses: number; readonly bytes: number } = STORE_LIMITS) {
    this.#limits = limits;
  }

  /** Keeps a response, unless it alone is larger than all may be. @param owner name of the key that reaches it */
  add(response: StoredResponse, owner: string | null): void {
    const bytes = BYTES_PER_CHARACTER * JSON.stringify(response).length;
    if (bytes > this.#limits.bytes) return;
    this.#entries.set(response.body.id, { owner, response, bytes });
    for (const item of response.body.output) this.#writers.set(item.id, response.body.id);
    this.#bytes += bytes;
    for (const [id, oldest] of this.#entries) {
      if (this.#entries.size <= this.#limits.responses && this.#bytes <= this.#limits.bytes) return;
      this.#forget(id, oldest);
    }
  }

  /** @param param the field that names it @throws StarlingError response_not_found, also for that of another key */
  get(id: string, owner: string | null, param?: string): StoredResponse {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.owner !== owner) {
      throw notFound(`response '${id.slice(0, 100)}'`, "send the whole conversation as 'input'", param);
    }
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.response;
  }

  /** What a response wrote. @throws StarlingError as `get` */
  item(id: string, owner: string | null, param: string): OutputItem {
    const writer = this.#entries.get(this.#writers.get(id) ?? '');
    if (writer?.owner !== owner) throw notFound(`item '${id.slice(0, 100)}'`, 'send the item itself', param);
    const { output } = this.get(writer.response.body.id, owner).body;
    return output.find((item) => item.id === id)!;
  }

  /** @throws StarlingError as `get` */
  delete(id: string, owner: string | null): void {
    this.get(id, owner);
    this.#forget(id, this.#entries.get(id)!);
  }

  #forget(id: string, { bytes, response }: Entry): void {
    this.#entries.delete(id);
    for (const item of response.body.output) this.#writers.delete(item.id);
    this.#bytes -= bytes;
  }
}

function notFound(what: string, advice: string, param: string | undefined): StarlingError {
  const message = `there is no ${what}: responses are kept in memory only, while there is room and until a restart; ${advice}`;
  return new StarlingError('response_not_found', message, param === undefined ? {} : { param });
}
