import { StarlingError } from '../../daemon/errors.ts';
import { ByteReader, malformed } from './byte-reader.ts';

/** One field of a form. */
export interface FormPart {
  readonly name: string;
  /** Null for a field that is no file. */
  readonly filename: string | null;
  /** To be read before the next part is asked for; what is left then is passed over. */
  readonly content: AsyncGenerator<Buffer, void, undefined>;
}

const MOST_PARTS = 32;
const MOST_HEADERS = 8192;
const CRLF = '\r\n';

/** The mark between the parts. @throws StarlingError invalid_request for a content type that is no form's */
function boundaryOf(contentType: string | null): string {
  const [, quoted, bare] =
    /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? '') ?? [];
  const boundary = quoted ?? bare;
  if (boundary !== undefined) return boundary;
  throw new StarlingError(
    'invalid_request',
    'the body of the request must be a form with a file: multipart/form-data, with a boundary',
  );
}

/**
 * The parts of a form as they come (RFC 7578), with little of them in memory.
 * @throws StarlingError invalid_request
 */
export async function* readForm(
  contentType: string | null,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<FormPart, void, undefined> {
  // The first mark has no line before it.
  const reader = new ByteReader(body, CRLF);
  try {
    yield* readParts(reader, Buffer.from(`${CRLF}--${boundaryOf(contentType)}`));
  } finally {
    await reader.close();
  }
}

async function* readParts(reader: ByteReader, mark: Buffer): AsyncGenerator<FormPart, void, undefined> {
  await reader.textUntil(mark, MOST_HEADERS);
  for (let parts = 0; ; parts++) {
    const after = await reader.text(CRLF.length);
    if (after === '--') return;
    if (after !== CRLF) throw malformed('the boundary is not followed by a line end');
    if (parts === MOST_PARTS) throw malformed(`it has more than ${MOST_PARTS} parts`);
    const headers = await reader.textUntil(Buffer.from(CRLF + CRLF), MOST_HEADERS);
    const content = reader.until(mark);
    yield { ...disposition(headers), content };
    for await (const _ of content) {
      // Nobody wanted it.
    }
  }
}

/** A small field's text. @throws StarlingError invalid_request when it has more bytes than `most` */
export async function textOf({ name, content }: FormPart, most: number): Promise<string> {
  let text = '';
  for await (const piece of content) {
    text += piece.toString();
    if (text.length > most) throw malformed(`the field '${name.slice(0, 64)}' is too long`);
  }
  return text;
}

/** A parameter, as browsers and other clients write it: quoted, with escapes of backslashes or of percents; or bare. */
const PARAMETER = /;\s*([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/gi;

function disposition(headers: string): Pick<FormPart, 'name' | 'filename'> {
  const line = headers.split(CRLF).find((each) => /^content-disposition:\s*form-data\s*;/i.test(each)) ?? '';
  const parameters = new Map<string, string>();
  for (const [, name, quoted, bare] of line.matchAll(PARAMETER)) {
    const value = quoted?.replace(/\\(["\\])/g, '$1') ?? bare ?? '';
    parameters.set(name!.toLowerCase(), value.replaceAll('%22', '"'));
  }
  const name = parameters.get('name');
  if (name === undefined) throw malformed('a part has no name');
  return { name, filename: parameters.get('filename') ?? null };
}
