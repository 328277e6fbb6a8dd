import { parseJson } from '../parse-json.ts';

/** A request of a batch's input file. */
export interface RequestLine {
  /** What the client calls it. */
  readonly customId: string;
  /** Path, such as /v1/chat/completions. */
  readonly url: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is wrong with an input file, in the form of OpenAI's `errors.data`. */
export interface InputFault {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  /** From 1; null where the file as a whole is at fault. */
  readonly line: number | null;
}

const LONGEST_CUSTOM_ID = 512;

/**
 * Reads a line of an input file.
 * @param text null when the line is too long
 * @param endpoint the path that all requests of the batch go to
 * @returns what is wrong with it, without its place, when something is
 */
export function parseRequestLine(text: string | null, endpoint: string): RequestLine | Omit<InputFault, 'line'> {
  if (text === null) return fault('request_too_large', 'this line is longer than a request may be', null);
  const value = parseObject(text);
  if (value === null) return fault('invalid_json_line', 'this line is no JSON object', null);
  const { custom_id, method, url, body } = value;
  if (custom_id === undefined) return fault('missing_required_parameter', 'custom_id is missing', 'custom_id');
  if (typeof custom_id !== 'string' || custom_id === '' || custom_id.length > LONGEST_CUSTOM_ID) {
    return fault('invalid_custom_id', `custom_id must be a text of 1 to ${LONGEST_CUSTOM_ID} characters`, 'custom_id');
  }
  if (method !== 'POST') return fault('invalid_method', 'method must be POST', 'method');
  if (url !== endpoint) return fault('invalid_url', `url must be the endpoint of the batch, ${endpoint}`, 'url');
  if (!isObject(body)) return fault('invalid_body', 'body must be an object, such as {"model": …}', 'body');
  if (body.stream === true) {
    return fault('unsupported_parameter', 'nobody reads along in a batch: leave stream out', 'body.stream');
  }
  return { customId: custom_id, url, body };
}

/** A text that is a JSON object; null when it is anything else. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = parseJson(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const fault = (code: string, message: string, param: string | null): Omit<InputFault, 'line'> => ({
  code,
  message,
  param,
});
