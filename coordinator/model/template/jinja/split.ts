import { TemplateError } from './errors.ts';
import { part, raw, SPACE, type Str } from './text.ts';

const WORD = new RegExp(`[^${SPACE}]+`, 'g');
/** Beside those of files, Python takes the separators of ASCII and Unicode for ends of lines. */
const SEPARATORS = '\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINE_END = new RegExp(`\\r\\n|[\\n\\r\\v\\f${SEPARATORS}]`, 'g');

/** str.split(separator, most), from the left; a negative limit is none. */
export function split(value: Str, separator: Str | null, most: number): Str[] {
  if (separator === null) return splitWords(value, most);
  const pieces: Str[] = [];
  const [text, mark] = [raw(value), markOf(separator)];
  let at = 0;
  for (let next = text.indexOf(mark); next >= 0 && more(pieces, most); next = text.indexOf(mark, at)) {
    pieces.push(part(value, at, next));
    at = next + mark.length;
  }
  pieces.push(part(value, at));
  return pieces;
}

/** str.rsplit(separator, most), from the right. */
export function splitFromRight(value: Str, separator: Str | null, most: number): Str[] {
  if (separator === null) return splitWordsFromRight(value, most);
  const pieces: Str[] = [];
  const [text, mark] = [raw(value), markOf(separator)];
  let end = text.length;
  while (more(pieces, most)) {
    const next = end < mark.length ? -1 : text.lastIndexOf(mark, end - mark.length);
    if (next < 0) break;
    pieces.push(part(value, next + mark.length, end));
    end = next;
  }
  pieces.push(part(value, 0, end));
  return pieces.reverse();
}

function more(pieces: readonly Str[], most: number): boolean {
  return most < 0 || pieces.length < most;
}

function markOf(separator: Str): string {
  const mark = raw(separator);
  if (mark === '') throw new TemplateError('empty separator');
  return mark;
}

function splitWords(value: Str, most: number): Str[] {
  const pieces: Str[] = [];
  for (const match of raw(value).matchAll(WORD)) {
    if (!more(pieces, most)) return [...pieces, part(value, match.index)];
    pieces.push(part(value, match.index, match.index + match[0].length));
  }
  return pieces;
}

function splitWordsFromRight(value: Str, most: number): Str[] {
  const words = Array.from(raw(value).matchAll(WORD));
  if (most < 0 || words.length <= most) return splitWords(value, -1);
  const kept = words.slice(words.length - most);
  const rest = words[words.length - most - 1] as RegExpExecArray;
  const first = part(value, 0, rest.index + rest[0].length);
  return [first, ...kept.map((match) => part(value, match.index, match.index + match[0].length))];
}

/** str.splitlines(). */
export function splitLines(value: Str, keepEnds = false): Str[] {
  const lines: Str[] = [];
  const text = raw(value);
  let at = 0;
  for (const match of text.matchAll(LINE_END)) {
    const end = match.index + match[0].length;
    lines.push(part(value, at, keepEnds ? end : match.index));
    at = end;
  }
  if (at < text.length) lines.push(part(value, at));
  return lines;
}

/** str.strip(characters), and lstrip and rstrip; null stands for white space. */
export function strip(value: Str, characters: Str | null, side: 'both' | 'left' | 'right'): Str {
  const text = raw(value);
  const set = characters === null ? null : new Set(raw(characters));
  const isStripped = (character: string): boolean => (set === null ? isSpace(character) : set.has(character));
  let [start, end] = [0, text.length];
  while (side !== 'right' && start < end) {
    const first = String.fromCodePoint(text.codePointAt(start) as number);
    if (!isStripped(first)) break;
    start += first.length;
  }
  while (side !== 'left' && end > start) {
    const pair = text.slice(Math.max(start, end - 2), end);
    const last = /^[\ud800-\udbff][\udc00-\udfff]$/.test(pair) ? pair : pair.slice(-1);
    if (!isStripped(last)) break;
    end -= last.length;
  }
  return part(value, start, end);
}

const IS_SPACE = new RegExp(`^[${SPACE}]$`);

function isSpace(character: string): boolean {
  return IS_SPACE.test(character);
}

/** str.replace(old, new, most); a negative limit is none. */
export function replace(value: Str, old: Str, substitute: Str, most: number): Str[] {
  const [text, wanted] = [raw(value), raw(old)];
  const pieces: Str[] = [];
  let at = 0;
  let count = 0;
  if (wanted === '') {
    // between all characters, and at both ends
    for (const character of [...text, '']) {
      if (most >= 0 && count >= most) break;
      pieces.push(substitute, part(value, at, at + character.length));
      at += character.length;
      count++;
    }
    return [...pieces, part(value, at)];
  }
  for (let next = text.indexOf(wanted); next >= 0 && (most < 0 || count < most); next = text.indexOf(wanted, at)) {
    pieces.push(part(value, at, next), substitute);
    at = next + wanted.length;
    count++;
  }
  return [...pieces, part(value, at)];
}
