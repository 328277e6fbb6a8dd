import { createCipheriv, createDecipheriv } from 'node:crypto';
import {
  type Channel,
  type ChannelKeys,
  type Closing,
  MAX_SEALED,
  malformed,
  messageNonce,
  notAuthentic,
  readClosing,
  type Side,
  TAG_BYTES,
  tooLong,
} from './channel.ts';

const CIPHER = 'chacha20-poly1305';
const BINARY = 0x82;
const CLOSE = 0x88;
const MASKED = 0x80;
/** Bytes before the longest content: 2, a length of 8, a mask of 4. */
const LONGEST_HEAD = 14;

interface FrameHead {
  readonly bytes: number;
  readonly content: number;
  readonly isClose: boolean;
}

/** A channel without native code. */
export class JsChannel implements Channel {
  readonly native = false;
  readonly #keys: ChannelKeys;
  readonly #masks: boolean;
  #sealed = 0;
  #opened = 0;
  #chunks: Buffer[] = [];
  #length = 0;
  #closing: Closing | null = null;

  constructor(keys: ChannelKeys, side: Side) {
    this.#keys = keys;
    // RFC 6455: clients mask, servers do not. The mask is zero, as what is sealed needs none.
    this.#masks = side === 'coordinator';
  }

  get closing(): Closing | null {
    return this.#closing;
  }

  send(
    _descriptor: number,
    header: Uint8Array,
    payloads: readonly Uint8Array[],
    allocate: (bytes: number) => Buffer,
  ): Buffer {
    const cipher = createCipheriv(CIPHER, this.#keys.seal, messageNonce(this.#sealed++), { authTagLength: TAG_BYTES });
    const length = payloads.reduce((sum, payload) => sum + payload.length, header.length + TAG_BYTES);
    const head = this.#head(length);
    const frame = allocate(head.length + length);
    frame.set(head);
    let at = head.length;
    for (const part of [header, ...payloads]) {
      frame.set(cipher.update(part), at);
      at += part.length;
    }
    cipher.final();
    frame.set(cipher.getAuthTag(), at);
    return frame;
  }

  feed(bytes: Uint8Array): void {
    this.#chunks.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.#length += bytes.length;
  }

  receive(): boolean {
    return false;
  }

  next(): Buffer | null {
    const head = this.#closing === null ? this.#readHead() : null;
    if (head === null || this.#length < head.bytes + head.content) return null;
    const frame = this.#take(head.bytes + head.content).subarray(head.bytes);
    if (head.isClose) {
      this.#closing = readClosing(frame);
      return null;
    }
    const sealed = frame.subarray(0, -TAG_BYTES);
    const nonce = messageNonce(this.#opened++);
    const decipher = createDecipheriv(CIPHER, this.#keys.open, nonce, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(frame.subarray(-TAG_BYTES));
    const plain = decipher.update(sealed);
    try {
      decipher.final();
    } catch {
      throw notAuthentic();
    }
    return plain;
  }

  #head(content: number): Buffer {
    const more = content > 0xffff ? 8 : content > 125 ? 2 : 0;
    const head = Buffer.alloc(2 + more + (this.#masks ? 4 : 0));
    head[0] = BINARY;
    head[1] = (this.#masks ? MASKED : 0) | (more === 8 ? 127 : more === 2 ? 126 : content);
    if (more === 2) head.writeUInt16BE(content, 2);
    if (more === 8) head.writeBigUInt64BE(BigInt(content), 2);
    return head;
  }

  /** Of what RFC 6455 allows, only what the other side sends is taken; kernels/native/channel.h has the same rules. */
  #readHead(): FrameHead | null {
    const bytes = this.#peek();
    if (bytes.length < 2) return null;
    const [first, second] = bytes as unknown as [number, number];
    const isClose = first === CLOSE;
    const masked = (second & MASKED) !== 0;
    if ((first !== BINARY && !isClose) || masked === this.#masks) throw malformed();
    const short = second & 0x7f;
    const more = short === 127 ? 8 : short === 126 ? 2 : 0;
    if (more > 0 && isClose) throw malformed();
    if (bytes.length < 2 + more) return null;
    const content = more === 8 ? Number(bytes.readBigUInt64BE(2)) : more === 2 ? bytes.readUInt16BE(2) : short;
    if (more > 0 && content < (more === 2 ? 126 : 0x10000)) throw malformed();
    if (!isClose && content < TAG_BYTES) throw malformed();
    if (content > MAX_SEALED) throw tooLong();
    const mask = masked ? 4 : 0;
    if (bytes.length < 2 + more + mask) return null;
    if (masked && bytes.readUInt32LE(2 + more) !== 0) throw malformed();
    return { bytes: 2 + more + mask, content, isClose };
  }

  /** The first bytes that have come, as many as a head may take. */
  #peek(): Buffer {
    while (this.#chunks.length > 1 && this.#chunks[0]!.length < LONGEST_HEAD) {
      this.#chunks.splice(0, 2, Buffer.concat(this.#chunks.slice(0, 2)));
    }
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  /** Removes the first bytes of what has come. */
  #take(length: number): Buffer {
    const whole = this.#chunks[0]!.length >= length ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    if (whole !== this.#chunks[0]) this.#chunks = [whole];
    this.#length -= length;
    if (whole.length === length) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(length);
    return whole.subarray(0, length);
  }
}
