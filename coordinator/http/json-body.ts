import type { Context } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';

/** Most bytes of a request's body: several times what the longest context holds as text. */
export const BODY_LIMIT = 4 * 1024 * 1024;
/**
 * A body that is too large is still taken, and thrown away, up to this size: a client that is busy sending when the connection
 * closes never sees the answer that tells it why.
 */
const DISCARD_LIMIT = 64 * 1024 * 1024;

function tooLarge(): StarlingError {
  return new StarlingError(
    'request_too_large',
    `the body of the request is larger than ${BODY_LIMIT} bytes; shorten the prompt`,
  );
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get('content-length') ?? 0) > DISCARD_LIMIT) throw tooLarge();
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > DISCARD_LIMIT) throw tooLarge();
    if (size <= BODY_LIMIT) text += decoder.decode(chunk, { stream: true });
  }
  if (size > BODY_LIMIT) throw tooLarge();
  return text + decoder.decode();
}

/**
 * The body of a request as a JSON object, whatever its content type says.
 * @throws StarlingError request_too_large, invalid_json, invalid_request when it is JSON but no object
 */
export async function readJsonObject(c: Context): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(c.req.raw);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    const what = text.trim() === '' ? 'it is empty' : cause instanceof Error ? cause.message : String(cause);
    throw new StarlingError('invalid_json', `the body of the request is not valid JSON: ${what}`, { cause });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new StarlingError('invalid_request', 'the body of the request must be a JSON object, such as {"model": …}');
  }
  return body as Record<string, unknown>;
}
