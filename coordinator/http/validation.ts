import type { z } from 'zod';
import { StarlingError } from '../../daemon/errors.ts';

type Body = Readonly<Record<string, unknown>>;

/** A parameter of OpenAI's API that would change the answer's meaning and that is not supported when `matters` holds. */
export interface UnsupportedRule {
  readonly param: string;
  readonly matters: (value: unknown, body: Body) => boolean;
  /** What to do instead. */
  readonly advice: string;
}

/** A list with something in it. */
export function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/**
 * Refuses requests whose answer would not be what the client asked for.
 * @throws StarlingError unsupported_parameter for the first rule that applies
 */
export function rejectUnsupported(body: Body, rules: readonly UnsupportedRule[]): void {
  for (const { param, matters, advice } of rules) {
    const value = body[param];
    if (value === undefined || value === null || !matters(value, body)) continue;
    throw new StarlingError('unsupported_parameter', `'${param}' is not supported here: ${advice}`, { param });
  }
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
