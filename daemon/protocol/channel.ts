import { hkdfSync } from 'node:crypto';
import { StarlingError } from '../errors.ts';
import { HEADER_BYTES, MAX_FRAME } from './frames.ts';

/**
 * What turns the messages of a data link into bytes and back: WebSocket frames (RFC 6455), each one whole binary
 * message sealed with ChaCha20-Poly1305 (RFC 8439). The nonce is the number of the message, so that one that is lost,
 * repeated, moved or altered ends the link. Two implementations, in JavaScript and native, have the same bytes.
 */
export interface Channel {
  /** Whether `send` and `receive` can use a socket's descriptor. */
  readonly native: boolean;
  /**
   * Seals a message.
   * @param descriptor of a socket that takes the bytes at once, as far as it can; -1 for none
   * @param payloads at most two
   * @param allocate where bytes are to be put that could not be written
   * @returns those bytes, to be written to the socket before anything else; null when none are left
   */
  send(
    descriptor: number,
    header: Uint8Array,
    payloads: readonly Uint8Array[],
    allocate: (bytes: number) => Buffer,
  ): Buffer | null;
  /** Takes bytes that came on the socket. */
  feed(bytes: Uint8Array): void;
  /** Reads what waits at the descriptor. @returns whether anything came */
  receive(descriptor: number): boolean;
  /**
   * Opens the next message that has come whole.
   * @param allocate where a message of so many bytes may be put
   * @returns null when there is none yet, or no more: see `closing`
   * @throws StarlingError protocol_invalid_message, protocol_frame_too_long
   */
  next(allocate: (bytes: number) => Buffer): Buffer | null;
  /** How the other side closes the link, once it has said so; it is not authenticated. */
  readonly closing: Closing | null;
}

/** Of a closing frame. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** The two keys of one side of a link. */
export interface ChannelKeys {
  readonly seal: Uint8Array;
  readonly open: Uint8Array;
}

export type Side = 'coordinator' | 'device';

/** Makes one side's channel of a link. */
export type OpenChannel = (keys: ChannelKeys, side: Side) => Channel;

/** Bytes of the session's secret, of each side's nonce, and of the keys. */
export const SECRET_BYTES = 32;
export const NONCE_BYTES = 16;
const CHANNEL_KEY_BYTES = 32;

/** Bytes that sealing adds to a message. */
export const TAG_BYTES = 16;
/** The longest content of a WebSocket frame. */
export const MAX_SEALED = HEADER_BYTES + MAX_FRAME + TAG_BYTES;

/**
 * The keys of one link: HKDF-SHA256 (RFC 5869) of the session's secret, which came over the control link, with both
 * sides' nonces of this link as salt. So every link has fresh keys, and what was recorded of another one opens nothing.
 */
export function channelKeys(
  secret: Uint8Array,
  nonces: { readonly coordinator: Uint8Array; readonly device: Uint8Array },
  side: Side,
): ChannelKeys {
  const salt = Buffer.concat([nonces.coordinator, nonces.device]);
  const derive = (sender: Side): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', secret, salt, `starling data ${sender} 1`, CHANNEL_KEY_BYTES));
  const other = side === 'coordinator' ? 'device' : 'coordinator';
  return { seal: derive(side), open: derive(other) };
}

/** The nonce of a link's message number `count`: 4 zero bytes, then the number, little-endian. */
export function messageNonce(count: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(count), 4);
  return nonce;
}

export const malformed = (): StarlingError =>
  new StarlingError('protocol_invalid_message', 'the other side sent what is no message of a data link');

export const tooLong = (): StarlingError =>
  new StarlingError('protocol_frame_too_long', 'the other side sent a message beyond the limit of its link');

export const notAuthentic = (): StarlingError =>
  new StarlingError(
    'protocol_invalid_message',
    'a message on a data link is not what the other side sent at its place; somebody changes what goes over the network',
  );

/**
 * Reads the content of a closing frame: a code of two bytes, then text; 1005 stands for none (RFC 6455, section 7.1.5).
 */
export function readClosing(content: Uint8Array): Closing {
  const bytes = Buffer.from(content);
  return { code: bytes.length < 2 ? 1005 : bytes.readUInt16BE(0), reason: bytes.toString('latin1', 2) };
}

/** A closing frame of a channel's side. @param text at most 123 bytes */
export function closingFrame(side: Side, code: number, text: string): Buffer {
  const mask = side === 'coordinator' ? 4 : 0;
  const frame = Buffer.alloc(2 + mask + 2 + text.length);
  frame[0] = 0x88;
  frame[1] = (mask > 0 ? 0x80 : 0) | (2 + text.length);
  frame.writeUInt16BE(code, 2 + mask);
  frame.write(text, 4 + mask, 'latin1');
  return frame;
}
