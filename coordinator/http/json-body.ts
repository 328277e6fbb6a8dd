import { pipeline, Readable, type Transform } from 'node:stream';
import type { ReadableStream as WebStream } from 'node:stream/web';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Context } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import { systemCode } from '../../daemon/system-error.ts';
import { parseJson } from '../parse-json.ts';

/** Most bytes of a request's body: several times what the longest context holds as text. */
export const BODY_LIMIT = 4 * 1024 * 1024;
/**
 * Of a body that is refused, so much is still taken, and thrown away: a client that is busy sending when the connection
 * closes never sees the answer that tells it why.
 */
export const DISCARD_LIMIT = 64 * 1024 * 1024;

function tooLarge(): StarlingError {
  return new StarlingError(
    'request_too_large',
    `the body of the request is larger than ${BODY_LIMIT} bytes; shorten the prompt`,
  );
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** The body's bytes, unpacked. @throws StarlingError unsupported_encoding */
export function bodyOf(request: Request): AsyncIterable<Uint8Array> {
  const { body } = request;
  const encodings = (request.headers.get('content-encoding') ?? '')
    .toLowerCase()
    .split(',')
    .map((encoding) => encoding.trim())
    .filter((encoding) => encoding !== '' && encoding !== 'identity');
  const [encoding, ...more] = encodings;
  if (encoding === undefined || body === null) return body ?? Readable.from([]);
  const decoder = DECODERS[encoding]?.();
  if (decoder === undefined || more.length > 0) {
    throw new StarlingError(
      'unsupported_encoding',
      `the body of the request is encoded as '${encodings.join(', ').slice(0, 100)}'; send it plain, or as gzip, deflate or br`,
    );
  }
  // What goes wrong there is met by whoever reads the decoder.
  return pipeline(Readable.fromWeb(body as WebStream), decoder, () => {});
}

/** Whether a body is packed into something damaged: codes of zlib, and two kinds of Brotli's. */
export const isUnpackingFault = (cause: unknown): boolean =>
  /^(Z_|ERR_BROTLI|ERR__ERROR)/.test(systemCode(cause) ?? '');

/** Why a body ends where its client did not end it. */
export const goneAway = (cause: unknown): StarlingError =>
  new StarlingError('cancelled', 'the client went away before the body of its request was there', { cause });

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get('content-length') ?? 0) > DISCARD_LIMIT) throw tooLarge();
  const isPlain = request.headers.get('content-encoding') === null;
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of bodyOf(request)) {
    size += chunk.byteLength;
    // A few bytes unpack to any number: nobody waits for those to be thrown away.
    if (size > (isPlain ? DISCARD_LIMIT : BODY_LIMIT)) throw tooLarge();
    if (size <= BODY_LIMIT) text += decoder.decode(chunk, { stream: true });
  }
  if (size > BODY_LIMIT) throw tooLarge();
  return text + decoder.decode();
}

/**
 * The body of a request as a JSON object, whatever its content type says.
 * @throws StarlingError request_too_large, unsupported_encoding, invalid_json; invalid_request when it is JSON but no
 * object, or nested too deep; cancelled when its client goes away before it is there
 */
export async function readJsonObject(c: Context): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(c.req.raw).catch((cause: unknown) => {
    if (cause instanceof StarlingError) throw cause;
    if (!isUnpackingFault(cause)) throw goneAway(cause);
    const message = 'the body of the request cannot be unpacked: it is damaged, or not encoded so';
    throw new StarlingError('invalid_json', message, { cause });
  });
  let body: unknown;
  try {
    body = parseJson(text);
  } catch (cause) {
    if (cause instanceof StarlingError) throw cause;
    const what = text.trim() === '' ? 'it is empty' : cause instanceof Error ? cause.message : String(cause);
    throw new StarlingError('invalid_json', `the body of the request is not valid JSON: ${what}`, { cause });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new StarlingError('invalid_request', 'the body of the request must be a JSON object, such as {"model": …}');
  }
  return body as Record<string, unknown>;
}
