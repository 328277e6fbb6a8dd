import { StarlingError } from '../errors.ts';

/**
 * A message of a data link: a header of 24 bytes, little-endian, then the payload.
 *
 * | offset | type | field |
 * |---|---|---|
 * |  0 | u8  | type |
 * |  1 | u8  | phase |
 * |  2 | u16 | layer |
 * |  4 | u32 | step |
 * |  8 | u16 | rows |
 * | 10 | u16 | format |
 * | 12 | u32 | bytes of payload, which follow the header |
 * | 16 | u32 | index |
 * | 20 | u32 | offset |
 *
 * What a field means, and whether it means anything, depends on the type.
 */
export const FRAME_TYPES = {
  /** The rows of a step. */
  STEP: 1,
  /** Activations of a phase, the head included. */
  INPUT: 2,
  /** Partial sums of a layer's phase. */
  SUMS: 3,
  /** A piece of tile `index`, beginning at byte `offset`. */
  TILE: 4,
  /** Tile `index` has arrived whole; `format` says how storing it went. */
  TILE_ACK: 5,
  /** The step cannot be computed; the payload says why. */
  FAILED: 6,
  /** The first frame of either side: it proves that its sender has the link's keys. */
  OPEN: 7,
  /** Logits of some rows: a device's part of the vocabulary. */
  LOGITS: 8,
  /** Asks for as many bytes as `index` says; the answer holds them. How a link is measured. */
  ECHO: 9,
} as const;

export type FrameType = (typeof FRAME_TYPES)[keyof typeof FRAME_TYPES];

export const HEADER_BYTES = 24;
/** Longest payload: 64 rows of any real width, and far above a chunk of a tile. */
export const MAX_FRAME = 16 * 2 ** 20;

/** INPUT frames that may be without an answer: a phase is computed while the sums of another travel. */
export const MAX_INPUTS = 2;

/** The fields that a sender chooses; those left out are 0. */
export interface FrameFields {
  readonly type: FrameType;
  readonly phase?: number;
  readonly layer?: number;
  readonly step?: number;
  readonly rows?: number;
  readonly format?: number;
  readonly index?: number;
  readonly offset?: number;
}

export type FrameHeader = Required<FrameFields> & { readonly length: number };

export interface Frame {
  readonly header: FrameHeader;
  /**
   * A view of the received message, at any alignment. It is the receiver's for as long as it is told of the frame, and
   * then used again.
   */
  readonly payload: Uint8Array;
}

/**
 * Writes a header into the first 24 bytes of `target`.
 * @param length bytes of payload
 * @throws StarlingError protocol_frame_too_long; RangeError when a field does not fit its width
 */
export function encodeHeader(target: Buffer, fields: FrameFields, length: number): void {
  if (length > MAX_FRAME) throw tooLong(length);
  target.writeUInt8(fields.type, 0);
  target.writeUInt8(fields.phase ?? 0, 1);
  target.writeUInt16LE(fields.layer ?? 0, 2);
  target.writeUInt32LE(fields.step ?? 0, 4);
  target.writeUInt16LE(fields.rows ?? 0, 8);
  target.writeUInt16LE(fields.format ?? 0, 10);
  target.writeUInt32LE(length, 12);
  target.writeUInt32LE(fields.index ?? 0, 16);
  target.writeUInt32LE(fields.offset ?? 0, 20);
}

/**
 * @throws StarlingError protocol_unknown_frame, protocol_frame_too_long, or protocol_invalid_message when the message
 * is shorter than a header or its length differs from what the header says
 */
export function decodeFrame(message: Buffer): Frame {
  if (message.length < HEADER_BYTES) {
    throw new StarlingError(
      'protocol_invalid_message',
      `a frame of ${message.length} bytes is shorter than its header of ${HEADER_BYTES}`,
    );
  }
  const type = message.readUInt8(0);
  if (!isFrameType(type)) {
    throw new StarlingError(
      'protocol_unknown_frame',
      `frame type ${type} is not known; do both sides run one version?`,
    );
  }
  const length = message.readUInt32LE(12);
  if (length > MAX_FRAME) throw tooLong(length);
  if (length !== message.length - HEADER_BYTES) {
    throw new StarlingError(
      'protocol_invalid_message',
      `a frame of type ${type} announces ${length} bytes of payload and holds ${message.length - HEADER_BYTES}`,
    );
  }
  const header: FrameHeader = {
    type,
    phase: message.readUInt8(1),
    layer: message.readUInt16LE(2),
    step: message.readUInt32LE(4),
    rows: message.readUInt16LE(8),
    format: message.readUInt16LE(10),
    length,
    index: message.readUInt32LE(16),
    offset: message.readUInt32LE(20),
  };
  return { header, payload: message.subarray(HEADER_BYTES) };
}

const isFrameType = (type: number): type is FrameType => type >= FRAME_TYPES.STEP && type <= FRAME_TYPES.ECHO;

function tooLong(length: number): StarlingError {
  return new StarlingError(
    'protocol_frame_too_long',
    `a frame with ${length} bytes of payload exceeds the limit of ${MAX_FRAME}`,
  );
}
