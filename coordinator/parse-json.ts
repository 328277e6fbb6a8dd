import { StarlingError } from '../daemon/errors.ts';

/** Most lists and objects in each other: what walks through a value does so on the stack, which holds some thousand. */
export const MOST_NESTED = 500;

/**
 * The value of a JSON text that somebody else wrote.
 * @throws SyntaxError where it is none; StarlingError invalid_request where it is nested deeper than MOST_NESTED
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  // A short text cannot be.
  if (text.length <= 2 * MOST_NESTED || nesting(text) <= MOST_NESTED) return value;
  const message = `lists and objects of the JSON are nested more than ${MOST_NESTED} deep; make it flatter`;
  throw new StarlingError('invalid_request', message);
}

/** How deep a valid JSON text goes. */
function nesting(text: string): number {
  let depth = 0;
  let most = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') inString = !inString;
    else if (inString) i += c === '\\' ? 1 : 0;
    else if (c === '[' || c === '{') most = Math.max(most, ++depth);
    else if (c === ']' || c === '}') depth--;
  }
  return most;
}
