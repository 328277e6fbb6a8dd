import { z } from 'zod';
import { dialectOf } from '../../coordinator/http/routes.ts';
import { ERRORS, type ErrorCode } from '../../daemon/errors.ts';
import type { Answered } from './endpoint.ts';
import type { RequestCase } from './request-case.ts';

const words = z.string().min(1);
const typed = z.strictObject({ type: words, message: words });
const known = z.string().refine((code): code is ErrorCode => Object.hasOwn(ERRORS, code));

/** The bodies of errors, by the name of the dialect. */
const ERROR_BODIES: Readonly<Record<string, z.ZodType>> = {
  OpenAI: z.strictObject({
    error: z.strictObject({ message: words, type: words, param: z.string().nullable(), code: known }),
  }),
  Anthropic: z.strictObject({ type: z.literal('error'), error: typed }),
  Ollama: z.strictObject({ error: words }),
  'llama.cpp': z.strictObject({ error: typed.extend({ code: z.int() }) }),
};

/** Of those of ours, what a request may bring about: it set a limit of time itself. */
const ASKED_FOR: readonly string[] = ['deadline_exceeded'];

/** What is wrong with an answer; null for nothing. */
export function faultOf(
  { path, headers }: Pick<RequestCase, 'path' | 'headers'>,
  { status, contentType, text }: Answered,
): string | null {
  if (status < 400) return contentType.startsWith('application/json') ? faultOfJson(text) : null;
  if (status >= 500 && status !== ERRORS.deadline_exceeded.http) return `status ${status}`;
  const { name } = dialectOf(new URL(`http://localhost${path}`).pathname, (header) => new Headers(headers).has(header));
  const body = faultOfJson(text) === null ? ERROR_BODIES[name]!.safeParse(JSON.parse(text)) : null;
  if (body?.success !== true) return `no error body of ${name}`;
  const { error } = body.data as { error: { code?: ErrorCode | number } | string };
  const code = typeof error === 'string' ? undefined : error.code;
  const told = typeof code === 'string' ? ERRORS[code].http : (code ?? status);
  return told === status ? null : `the code ${code} with status ${status}`;
}

/** What was logged as an error and should not have happened; null for nothing. */
export function faultOfLog(lines: readonly string[]): string | null {
  return lines.find((line) => !ASKED_FOR.includes((JSON.parse(line) as { code?: string }).code ?? '')) ?? null;
}

function faultOfJson(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (thrown) {
    return `not JSON: ${String(thrown)}`;
  }
}
