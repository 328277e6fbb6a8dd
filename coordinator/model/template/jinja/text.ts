import { TemplateError } from './errors.ts';

/** UTF-16 units of one string: the longest prompt in use is a few million. */
export const MAX_TEXT_LENGTH = 8 << 20;

/** Characters that Python's str.isspace() accepts, for use inside a character class of a regular expression. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SURROGATE = /[\ud800-\udfff]/;
const PLAIN = '0';
const TYPED = '1';

/**
 * A string some of whose characters somebody typed: they came with the request, not from the template. Also Markup, the
 * string that says of itself that it is escaped HTML.
 */
export class Text {
  readonly text: string;
  /** As long as the text: '1' for each UTF-16 unit that was typed, '0' for the others. */
  readonly mask: string;
  readonly markup: boolean;

  constructor(text: string, mask: string, markup = false) {
    this.text = text;
    this.mask = mask;
    this.markup = markup;
  }
}

/** A Python str; what is a plain string is all the template's. */
export type Str = string | Text;

export function isStr(value: unknown): value is Str {
  return typeof value === 'string' || value instanceof Text;
}

/** The characters alone. */
export function raw(value: Str): string {
  return typeof value === 'string' ? value : value.text;
}

export function maskOf(value: Str): string {
  return typeof value === 'string' ? PLAIN.repeat(value.length) : value.mask;
}

export function isMarkup(value: unknown): boolean {
  return value instanceof Text && value.markup;
}

export function isTyped(value: Str): boolean {
  return typeof value !== 'string' && value.mask.includes(TYPED);
}

/** Text that came with the request. */
export function typedText(text: string): Str {
  return text === '' ? '' : new Text(text, TYPED.repeat(text.length));
}

/** The same characters without Markup's claim to be escaped. */
export function withoutMarkup(value: Str): Str {
  return value instanceof Text && value.markup ? masked(value.text, value.mask) : value;
}

export function asMarkup(value: Str): Str {
  return new Text(raw(value), maskOf(value), true);
}

/** The result of an operation that does not tell which characters came from where: typed if any source was. */
export function derived(text: string, ...sources: readonly Str[]): Str {
  return sources.some(isTyped) ? typedText(checkedText(text)) : checkedText(text);
}

function masked(text: string, mask: string): Str {
  return mask.includes(TYPED) ? new Text(text, mask) : text;
}

function checkedText(text: string): string {
  checkLength(text.length);
  return text;
}

/** @throws TemplateError for a string that is longer than any prompt */
export function checkLength(length: number): void {
  if (!(length <= MAX_TEXT_LENGTH)) {
    throw new TemplateError(`a text of ${length} characters; at most ${MAX_TEXT_LENGTH} are allowed here`);
  }
}

export function concat(...parts: readonly Str[]): Str {
  return joinAll(parts);
}

export function joinAll(parts: readonly Str[], separator: Str = ''): Str {
  let length = raw(separator).length * Math.max(0, parts.length - 1);
  let plain = typeof separator === 'string';
  for (const part of parts) {
    length += raw(part).length;
    plain &&= typeof part === 'string';
  }
  checkLength(length);
  const text = parts.map(raw).join(raw(separator));
  return plain ? text : new Text(text, parts.map(maskOf).join(maskOf(separator)));
}

export function repeat(value: Str, count: bigint): Str {
  if (count <= 0n) return '';
  const text = raw(value);
  if (text === '') return '';
  if (count > BigInt(MAX_TEXT_LENGTH)) checkLength(Number.POSITIVE_INFINITY);
  checkLength(text.length * Number(count));
  const times = Number(count);
  return typeof value === 'string' ? value.repeat(times) : masked(text.repeat(times), value.mask.repeat(times));
}

/** UTF-16 units from `start` to `end`. */
export function part(value: Str, start: number, end?: number): Str {
  if (typeof value === 'string') return value.slice(start, end);
  return masked(value.text.slice(start, end), value.mask.slice(start, end));
}

/** The code points, which are what Python counts, as strings of their own. */
export function characters(value: Str): Str[] {
  if (typeof value === 'string') return Array.from(value);
  const found: Str[] = [];
  let at = 0;
  for (const character of value.text) {
    found.push(masked(character, value.mask.slice(at, at + character.length)));
    at += character.length;
  }
  return found;
}

/** Code points of the text. */
export function textLength(value: Str): number {
  const text = raw(value);
  if (!SURROGATE.test(text)) return text.length;
  let length = 0;
  for (const _ of text) length++;
  return length;
}

/** Code points from `start` to `end`, both within the text. */
export function partByPoints(value: Str, start: number, end: number): Str {
  if (!SURROGATE.test(raw(value))) return part(value, start, end);
  return joinAll(characters(value).slice(start, end));
}

/** Code points in the first so many UTF-16 units. */
export function pointsBefore(text: string, units: number): number {
  return textLength(text.slice(0, units));
}

/** Changes each character by itself, such as to upper case; `change` is given the whole text first. */
export function changeCase(value: Str, change: (text: string) => string): Str {
  const changed = checkedText(change(raw(value)));
  if (typeof value === 'string') return changed;
  if (changed.length === value.text.length) return masked(changed, value.mask);
  let mask = '';
  for (const character of characters(value)) {
    mask += (isTyped(character) ? TYPED : PLAIN).repeat(change(raw(character)).length);
  }
  return mask.length === changed.length ? masked(changed, mask) : derived(changed, value);
}

/** Puts another text in place of each character, as escaping does. */
export function substitute(value: Str, pattern: RegExp, substitution: (character: string) => string): Str {
  if (typeof value === 'string') return checkedText(value.replace(pattern, substitution));
  const parts: Str[] = [];
  let at = 0;
  for (const match of value.text.matchAll(pattern)) {
    parts.push(part(value, at, match.index));
    const text = substitution(match[0]);
    parts.push(isTyped(part(value, match.index, match.index + match[0].length)) ? typedText(text) : text);
    at = match.index + match[0].length;
  }
  parts.push(part(value, at));
  return joinAll(parts);
}

/** Where the typed characters are: disjoint [start, end) in UTF-16 units, in order. */
export function typedRanges(value: Str): [number, number][] {
  const ranges: [number, number][] = [];
  if (typeof value === 'string') return ranges;
  let start = value.mask.indexOf(TYPED);
  while (start >= 0) {
    const next = value.mask.indexOf(PLAIN, start);
    const end = next < 0 ? value.mask.length : next;
    ranges.push([start, end]);
    start = value.mask.indexOf(TYPED, end);
  }
  return ranges;
}

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};

/** Markup with the text's HTML escaped; Markup stays as it is. */
export function escapeHtml(value: Str): Str {
  if (isMarkup(value)) return value;
  return asMarkup(substitute(value, /[&<>'"]/g, (character) => HTML_ESCAPES[character] as string));
}
