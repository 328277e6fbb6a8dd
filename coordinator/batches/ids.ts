import { randomBytes } from 'node:crypto';

const PREFIXES = { file: 'file-', batch: 'batch_', request: 'batch_req_' } as const;

let last = 0;

/**
 * An id in OpenAI's form: ids that a process gives sort in the order in which it gave them, and nobody can guess the
 * next.
 */
export function newId(kind: keyof typeof PREFIXES): string {
  last = Math.max(last + 1, Date.now());
  return PREFIXES[kind] + last.toString(16).padStart(12, '0') + randomBytes(6).toString('hex');
}

/** From the oldest to the newest. */
export const byAge = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);

/** Whether a text of a client has the form of such an id: only those ever become part of a path. */
export const isId = (kind: keyof typeof PREFIXES, text: string): boolean =>
  text.startsWith(PREFIXES[kind]) && /^[0-9a-f]{24}$/.test(text.slice(PREFIXES[kind].length));
