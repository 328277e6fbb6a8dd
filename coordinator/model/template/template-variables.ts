import { fromJson } from './jinja/conversion.ts';
import { Dict, type Value } from './jinja/values.ts';

/** Variables whose text is the template's own: the model file names these tokens. */
const OF_THE_MODEL: ReadonlySet<string> = new Set(['bos_token', 'eos_token']);

/**
 * The variables of a rendering. All text that came with the request is marked as typed, but for the roles, which the
 * API takes from a list of its own.
 * @param given JSON
 */
export function templateVariables(given: Readonly<Record<string, unknown>>): Map<string, Value> {
  return new Map(
    Object.entries(given).map(([name, value]) => {
      if (OF_THE_MODEL.has(name)) return [name, fromJson(value, plain)] as const;
      if (name === 'messages' && Array.isArray(value)) return [name, value.map(messageValue)] as const;
      return [name, fromJson(value)] as const;
    }),
  );
}

function messageValue(message: unknown): Value {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return fromJson(message);
  const fields = Object.entries(message);
  return new Dict(fields.map(([name, value]) => [name, name === 'role' ? fromJson(value, plain) : fromJson(value)]));
}

function plain(text: string): string {
  return text;
}
