import { TemplateError } from './errors.ts';
import { floatDigits } from './number-format.ts';
import { intText, numeric, toFloat, truncated } from './numbers.ts';
import { repr, str } from './repr.ts';
import {
  asMarkup,
  checkLength,
  concat,
  escapeHtml,
  isMarkup,
  isStr,
  joinAll,
  part,
  partByPoints,
  raw,
  type Str,
  textLength,
} from './text.ts';
import { Dict, Tuple, typeName, Undefined, type Value } from './values.ts';

const DIRECTIVE = /%(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?(.)?/gsu;

/** The values that directives take one after the other. */
class Values {
  readonly #values: Value;
  readonly #items: readonly Value[];
  #next = 0;
  #byName = false;

  constructor(values: Value) {
    this.#values = values;
    this.#items = values instanceof Tuple ? values.items : [values];
  }

  next(): Value {
    const value = this.#items[this.#next++];
    if (value === undefined) throw new TemplateError('not enough arguments for format string');
    return value;
  }

  named(name: Str): Value {
    if (!(this.#values instanceof Dict)) throw new TemplateError('format requires a mapping');
    this.#byName = true;
    const value = this.#values.get(name);
    if (value === undefined) throw new TemplateError(`KeyError: '${raw(name)}'`);
    return value;
  }

  finish(): void {
    const takesNames = !(this.#values instanceof Tuple) && !isStr(this.#values) && isMapping(this.#values);
    if (!this.#byName && !takesNames && this.#next < this.#items.length) {
      throw new TemplateError('not all arguments converted during string formatting');
    }
  }
}

/** Python takes everything that has items, except tuples and strings, for a mapping. */
function isMapping(value: Value): boolean {
  return value instanceof Dict || Array.isArray(value) || value instanceof Undefined || typeName(value) === 'range';
}

/** Python's `format % values`. */
export function percentFormat(format: Str, values: Value): Str {
  const source = new Values(values);
  const parts: Str[] = [];
  const markup = isMarkup(format);
  const text = raw(format);
  let at = 0;
  for (const match of text.matchAll(DIRECTIVE)) {
    parts.push(part(format, at, match.index));
    at = match.index + match[0].length;
    const [whole, , flags = '', width, precision, conversion] = match;
    if (conversion === undefined) throw new TemplateError('incomplete format');
    if (conversion === '%') {
      if (whole !== '%%' && match[1] !== undefined) source.named(match[1]);
      parts.push('%');
      continue;
    }
    const nameAt = match.index + 2;
    const name = match[1] === undefined ? null : part(format, nameAt, nameAt + match[1].length);
    const value = name === null ? null : source.named(name);
    const given = width === '*' ? starred(source) : width === undefined ? 0 : Number(width);
    const places = precision === '*' ? starred(source) : precision === undefined ? null : Number(precision);
    const left = flags.includes('-') || given < 0;
    const item = name === null ? source.next() : (value as Value);
    const converted = convert(item, conversion, flags, places === null ? null : Math.max(0, places), {
      width: Math.abs(given),
      left,
    });
    parts.push(markup ? escapeHtml(converted) : converted);
  }
  source.finish();
  parts.push(part(format, at));
  const result = joinAll(parts);
  return markup ? asMarkup(result) : result;
}

function starred(source: Values): number {
  const value = source.next();
  if (typeof value !== 'bigint' && typeof value !== 'boolean') throw new TemplateError('* wants int');
  checkLength(Number(value));
  return Number(value);
}

interface Field {
  readonly width: number;
  readonly left: boolean;
}

function convert(value: Value, conversion: string, flags: string, precision: number | null, field: Field): Str {
  switch (conversion) {
    case 's':
    case 'r':
    case 'a': {
      const text = conversion === 's' ? str(value) : conversion === 'r' ? repr(value) : ascii(value);
      return padText(precision === null ? text : partByPoints(text, 0, Math.min(precision, textLength(text))), field);
    }
    case 'c':
      return padText(character(value), field);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return padNumber(integerDigits(value, conversion, flags, precision), flags, field);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      const number = numeric(value);
      if (number === null) throw new TemplateError(`must be real number, not ${typeName(value)}`);
      const float = toFloat(number);
      const type = conversion.toLowerCase() as 'e' | 'f' | 'g';
      const digits = floatDigits(float, { type, precision: precision ?? 6, alternate: flags.includes('#') });
      const shown = conversion === type ? digits : digits.toUpperCase();
      const negative = float < 0 || Object.is(float, -0);
      return padNumber(
        { negative, prefix: '', digits: shown },
        Number.isFinite(float) ? flags : flags.replace('0', ''),
        field,
      );
    }
    default:
      throw new TemplateError(`unsupported format character '${conversion}'`);
  }
}

function ascii(value: Value): Str {
  const text = repr(value);
  if (/^[\0-\x7f]*$/.test(raw(text))) return text;
  throw new TemplateError("'%a' of characters beyond ASCII is not supported here");
}

function character(value: Value): Str {
  if (isStr(value) && textLength(value) === 1) return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') {
    const code = Number(value);
    if (code < 0 || code > 0x10ffff) throw new TemplateError('%c arg not in range(0x110000)');
    return String.fromCodePoint(code);
  }
  throw new TemplateError('%c requires int or char');
}

interface NumberParts {
  readonly negative: boolean;
  readonly prefix: string;
  readonly digits: string;
}

function integerDigits(value: Value, conversion: string, flags: string, precision: number | null): NumberParts {
  const number = numeric(value);
  const decimal = conversion === 'd' || conversion === 'i' || conversion === 'u';
  if (number === null || (!decimal && typeof number === 'number')) {
    const wanted = decimal ? 'a real number' : 'an integer';
    throw new TemplateError(`%${conversion} format: ${wanted} is required, not ${typeName(value)}`);
  }
  const int = typeof number === 'number' ? truncated(number) : number;
  const magnitude = int < 0n ? -int : int;
  const radix = decimal ? 10 : conversion === 'o' ? 8 : 16;
  const digits = (decimal ? intText(magnitude) : magnitude.toString(radix)).padStart(precision ?? 0, '0');
  const prefix = flags.includes('#') && !decimal ? `0${conversion}` : '';
  return { negative: int < 0n, prefix, digits: conversion === 'X' ? digits.toUpperCase() : digits };
}

function padNumber({ negative, prefix, digits }: NumberParts, flags: string, field: Field): Str {
  const sign = negative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  checkLength(field.width);
  if (!flags.includes('0') || field.left) return padText(sign + prefix + digits, field);
  return sign + prefix + digits.padStart(field.width - sign.length - prefix.length, '0');
}

function padText(text: Str, { width, left }: Field): Str {
  const missing = width - textLength(text);
  if (missing <= 0) return text;
  checkLength(width);
  const spaces = ' '.repeat(missing);
  return left ? concat(text, spaces) : concat(spaces, text);
}
