import { StarlingError } from '../../daemon/errors.ts';
import { DISCARD_LIMIT, goneAway, isUnpackingFault } from './json-body.ts';

const ENDED = { done: true, value: undefined } as const;

/** Reads a body that comes in pieces up to one mark after the other, and holds little more than a piece. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #held: Buffer;

  /** @param before is read first */
  constructor(body: AsyncIterable<Uint8Array>, before = '') {
    this.#pieces = body[Symbol.asyncIterator]();
    this.#held = Buffer.from(before);
  }

  /**
   * What comes before a mark, which is passed over.
   * @throws StarlingError as all here: invalid_request when the body ends first, cancelled when its client goes away
   */
  async *until(mark: Buffer): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const at = this.#held.indexOf(mark);
      // The end of what is held may be the beginning of a mark.
      const found = this.#take(at >= 0 ? at : Math.max(0, this.#held.length - mark.length + 1));
      if (at >= 0) this.#take(mark.length);
      if (found.length > 0) yield found;
      if (at >= 0) return;
      await this.#more();
    }
  }

  /** The same as text. @param most bytes; more are invalid_request */
  async textUntil(mark: Buffer, most: number): Promise<string> {
    const found: Buffer[] = [];
    let size = 0;
    for await (const piece of this.until(mark)) {
      size += piece.length;
      if (size > most) throw malformed(`more than ${most} bytes where few are expected`);
      found.push(piece);
    }
    return Buffer.concat(found).toString();
  }

  /** So many bytes as text. */
  async text(length: number): Promise<string> {
    while (this.#held.length < length) await this.#more();
    return this.#take(length).toString('latin1');
  }

  /** Throws away what is left, of a body that is not larger than any: see DISCARD_LIMIT. */
  async close(): Promise<void> {
    for (let size = 0; size <= DISCARD_LIMIT; ) {
      const { done, value } = await this.#pieces.next().catch(() => ENDED);
      if (done === true) return;
      size += value.byteLength;
    }
    await this.#pieces.return?.();
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#pieces.next().catch(interrupted);
    if (done === true) throw malformed('it ends too early');
    this.#held = this.#held.length === 0 ? Buffer.from(value) : Buffer.concat([this.#held, value]);
  }
}

function interrupted(cause: unknown): never {
  if (isUnpackingFault(cause)) throw malformed('it is damaged, or not encoded so');
  throw goneAway(cause);
}

/** A form that cannot be read. */
export const malformed = (why: string): StarlingError =>
  new StarlingError('invalid_request', `the form in the body of the request is malformed: ${why}`);
