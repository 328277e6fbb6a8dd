import { isUtf8 } from 'node:buffer';
import { type ErrorCode, StarlingError } from '../../../daemon/errors.ts';
import type { HeaderBudget } from './limits.ts';

/** What the header is read from. */
export interface HeaderInput {
  readonly path: string;
  readonly size: number;
  /** Reads up to `into.length` bytes; returns how many, 0 at the end. */
  readSome(position: number, into: Uint8Array): Promise<number>;
}

const WINDOW_BYTES = 1 << 20;

/**
 * Reads a header front to back through a window of the file.
 *
 * Use: `if (source.available < n) await source.fill(n, what)`, then the synchronous getters. That keeps the loops over
 * hundreds of thousands of strings free of promises.
 */
export class HeaderSource {
  readonly path: string;
  readonly budget: HeaderBudget;
  readonly #input: HeaderInput;
  /** Where the header must end: the file's end, or the budget's. */
  readonly #limit: number;
  #window: Buffer;
  /** File position of the window's first byte. */
  #base = 0;
  #start = 0;
  #end = 0;

  constructor(input: HeaderInput, budget: HeaderBudget) {
    this.path = input.path;
    this.budget = budget;
    this.#input = input;
    this.#limit = Math.min(input.size, budget.left('headerBytes'));
    this.#window = Buffer.allocUnsafe(Math.max(64, Math.min(WINDOW_BYTES, this.#limit)));
  }

  get position(): number {
    return this.#base + this.#start;
  }

  /** Bytes that can be taken without a fill. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** Bytes that the rest of the header can have at most. */
  get remaining(): number {
    return this.#limit - this.position;
  }

  /** An error that names the file and the position reached. */
  fail(code: ErrorCode, message: string, param?: string): StarlingError {
    const options = param === undefined ? undefined : { param };
    return new StarlingError(code, `${this.path}, byte ${this.position}: ${message}`, options);
  }

  /** Throws unless at least `length` more bytes can follow. */
  expect(length: number, what: string): void {
    if (length <= this.remaining) return;
    if (this.#limit < this.#input.size) {
      throw this.fail('model_invalid', `the header is larger than any model's, in ${what}; the file is damaged`);
    }
    throw this.fail(
      'model_truncated',
      `the file ends, at byte ${this.#input.size}, in the middle of ${what}; download it again`,
    );
  }

  /**
   * Makes at least `length` bytes available. The window grows only to what the file can hold.
   * @throws StarlingError model_truncated, model_invalid (header larger than the budget), model_file_unreadable
   */
  async fill(length: number, what: string): Promise<void> {
    this.expect(length, what);
    const kept = this.available;
    const window = length > this.#window.length ? Buffer.allocUnsafe(length) : this.#window;
    this.#window.copy(window, 0, this.#start, this.#end);
    this.#window = window;
    this.#base += this.#start;
    this.#start = 0;
    this.#end = kept;
    while (this.#end < length) {
      const room = Math.min(window.length, this.#limit - this.#base);
      const count = await this.#input.readSome(this.#base + this.#end, window.subarray(this.#end, room));
      if (count === 0) {
        throw this.fail('model_truncated', `the file was cut short while ${what} was read; download it again`);
      }
      this.#end += count;
    }
  }

  u8(): number {
    return this.#window.readUInt8(this.#take(1));
  }

  i8(): number {
    return this.#window.readInt8(this.#take(1));
  }

  u16(): number {
    return this.#window.readUInt16LE(this.#take(2));
  }

  i16(): number {
    return this.#window.readInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#window.readUInt32LE(this.#take(4));
  }

  i32(): number {
    return this.#window.readInt32LE(this.#take(4));
  }

  f32(): number {
    return this.#window.readFloatLE(this.#take(4));
  }

  f64(): number {
    return this.#window.readDoubleLE(this.#take(8));
  }

  /** A count or size; inexact above 2^53, which every limit is below. */
  u64(): number {
    const at = this.#take(8);
    return this.#window.readUInt32LE(at) + this.#window.readUInt32LE(at + 4) * 2 ** 32;
  }

  bigU64(): bigint {
    return this.#window.readBigUInt64LE(this.#take(8));
  }

  bigI64(): bigint {
    return this.#window.readBigInt64LE(this.#take(8));
  }

  /** `length` available bytes as text; null when they are not UTF-8. */
  text(length: number): string | null {
    const from = this.#take(length);
    const text = this.#window.toString('utf8', from, from + length);
    // Decoding marks what it cannot read; but the mark may also be in the file.
    return text.includes('\ufffd') && !isUtf8(this.#window.subarray(from, from + length)) ? null : text;
  }

  /** Up to `length` of the bytes that come next, which stay to be read: fewer where the file ends before. */
  async peek(length: number): Promise<Uint8Array> {
    const possible = Math.min(length, this.remaining);
    if (this.available < possible) await this.fill(possible, 'its beginning');
    return this.#window.subarray(this.#start, this.#start + possible);
  }

  /** Passes over `length` bytes, whatever their number. */
  async skip(length: number, what: string): Promise<void> {
    this.expect(length, what);
    for (let left = length; left > 0; ) {
      if (this.available === 0) await this.fill(1, what);
      const count = Math.min(this.available, left);
      this.#take(count);
      left -= count;
    }
  }

  /** Fills `into` from the file, whatever its length. */
  async bytes(into: Uint8Array, what: string): Promise<void> {
    this.expect(into.length, what);
    let done = 0;
    while (done < into.length) {
      if (this.available === 0) await this.fill(1, what);
      const count = Math.min(this.available, into.length - done);
      const from = this.#take(count);
      into.set(this.#window.subarray(from, from + count), done);
      done += count;
    }
  }

  /** Ends the header here: charges its bytes to the budget. */
  finish(): void {
    this.budget.spend('headerBytes', this.position);
  }

  #take(length: number): number {
    const at = this.#start;
    this.#start = at + length;
    return at;
  }
}
