import type { z } from 'zod';
import { StarlingError } from '../../daemon/errors.ts';

type Body = Readonly<Record<string, unknown>>;

/** A list with something in it. */
export function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** A path in the notation of OpenAI's errors: `messages[0].content`. */
export function paramPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${String(part)}`;
  }
  return text;
}

/**
 * Checks a body against a schema; fields that the schema does not know are ignored.
 * @throws StarlingError invalid_request naming the first field at fault
 */
export function validate<S extends z.ZodType>(schema: S, body: Body): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const param = paramPath(issue?.path ?? []);
  const message = `'${param}' is not valid: ${issue?.message ?? 'see the API description'}`;
  throw new StarlingError('invalid_request', message, param === '' ? {} : { param });
}
