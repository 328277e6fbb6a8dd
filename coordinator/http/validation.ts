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
  const { path, message: problem } = deepest(result.error.issues[0]);
  const param = paramPath(path);
  const message = `'${param}' is not valid: ${problem}`;
  throw new StarlingError('invalid_request', message, param === '' ? {} : { param });
}

interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Of a value that is none of several things, what is wrong with it as the one that it comes closest to. */
function deepest(issue: z.core.$ZodIssue | undefined): Fault {
  if (issue === undefined) return { path: [], message: 'see the API description' };
  if (issue.code !== 'invalid_union') return issue;
  const [furthest] = issue.errors
    .flatMap(([first]) => (first === undefined ? [] : [deepest(first)]))
    .sort((a, b) => compareProgress(b.path, a.path));
  if (furthest === undefined || furthest.path.length === 0) return issue;
  return { path: [...issue.path, ...furthest.path], message: furthest.message };
}

/** Of two places, the later is that of the reading that got further. */
function compareProgress(a: readonly PropertyKey[], b: readonly PropertyKey[]): number {
  const at = a.findIndex((part, i) => part !== b[i]);
  const [one, other] = [a[at], b[at]];
  return typeof one === 'number' && typeof other === 'number' ? one - other : a.length - b.length;
}
