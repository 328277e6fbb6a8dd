import type { EngineUsage } from '../engine/engine.ts';
import { StarlingError } from '../errors.ts';

/** Bytes before the packed sums of a SUMS frame: what the device has done since its last one. */
export const USAGE_BYTES = 16;

/** u32 microseconds computing, u32 microseconds waiting for the disk, u64 bytes read. */
export function encodeUsage({ computeMs, diskMs, bytesRead }: EngineUsage): Uint8Array {
  const bytes = Buffer.alloc(USAGE_BYTES);
  bytes.writeUInt32LE(microseconds(computeMs), 0);
  bytes.writeUInt32LE(microseconds(diskMs), 4);
  bytes.writeBigUInt64LE(BigInt(Math.max(0, bytesRead)), 8);
  return bytes;
}

/** @throws StarlingError protocol_invalid_message for a payload that is too short, or a number beyond what can be counted */
export function decodeUsage(payload: Uint8Array): EngineUsage {
  if (payload.length < USAGE_BYTES) {
    throw new StarlingError('protocol_invalid_message', `sums of ${payload.length} bytes come without their usage`);
  }
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, USAGE_BYTES);
  const bytesRead = Number(bytes.readBigUInt64LE(8));
  if (!Number.isSafeInteger(bytesRead)) {
    throw new StarlingError('protocol_invalid_message', 'a device claims to have read more bytes than can be counted');
  }
  return { computeMs: bytes.readUInt32LE(0) / 1000, diskMs: bytes.readUInt32LE(4) / 1000, bytesRead };
}

const microseconds = (milliseconds: number): number =>
  Math.min(0xffff_ffff, Math.max(0, Math.round(milliseconds * 1000)));
