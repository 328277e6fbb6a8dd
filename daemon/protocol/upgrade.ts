import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { NONCE_BYTES } from './channel.ts';

/**
 * The HTTP upgrade that begins a data link (RFC 6455, section 4), without extensions or subprotocols. Both sides'
 * nonces for the link's keys are in it: the coordinator's is Sec-WebSocket-Key, the device's is a header of the answer.
 */
const DEVICE_NONCE = 'starling-nonce';
const VERSION = '13';
/** RFC 6455, section 1.3. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** What the coordinator's request has in its headers. */
export const upgradeRequest = (nonce: Uint8Array): Record<string, string> => ({
  host: 'starling',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': VERSION,
  'sec-websocket-key': Buffer.from(nonce).toString('base64'),
});

/** The coordinator's nonce in a request, or null where it is no such request. */
export function coordinatorNonce(headers: IncomingHttpHeaders): Buffer | null {
  const { upgrade, 'sec-websocket-version': version, 'sec-websocket-key': key } = headers;
  return upgrade?.toLowerCase() === 'websocket' && version === VERSION ? nonceOf(key) : null;
}

/** The device's answer to a request. */
export const upgradeAnswer = (coordinator: Uint8Array, device: Uint8Array): string =>
  [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept(coordinator)}`,
    `${DEVICE_NONCE}: ${Buffer.from(device).toString('base64')}`,
    '\r\n',
  ].join('\r\n');

/** The device's nonce in its answer, or null where it is none to this request. */
export function deviceNonce(headers: IncomingHttpHeaders, coordinator: Uint8Array): Buffer | null {
  return headers['sec-websocket-accept'] === accept(coordinator) ? nonceOf(headers[DEVICE_NONCE]) : null;
}

function accept(nonce: Uint8Array): string {
  const key = Buffer.from(nonce).toString('base64');
  return createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64');
}

function nonceOf(text: string | string[] | undefined): Buffer | null {
  const nonce = typeof text === 'string' ? Buffer.from(text, 'base64') : null;
  return nonce?.length === NONCE_BYTES ? nonce : null;
}
