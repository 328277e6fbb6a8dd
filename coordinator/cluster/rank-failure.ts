import { z } from 'zod';
import { ERRORS, type ErrorCode, StarlingError } from '../../daemon/errors.ts';
import { FRAME_TYPES } from '../../daemon/protocol/frames.ts';

const failure = z.object({ code: z.string(), message: z.string().max(4096) });

/**
 * The error that a device's answer to a phase tells of, whatever it is.
 * @param type of the frame, which holds no sums
 */
export function rankFailure(name: string, type: number, payload: Uint8Array): StarlingError {
  if (type !== FRAME_TYPES.FAILED) {
    return new StarlingError('protocol_invalid_message', `${name} answered with a frame of type ${type}`);
  }
  const parsed = failure.safeParse(parseJson(payload));
  if (!parsed.success) return new StarlingError('device_error', `${name} failed and did not say why`);
  const { code, message } = parsed.data;
  return new StarlingError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'device_error', `${name}: ${message}`);
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
}
