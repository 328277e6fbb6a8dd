import { getAttribute, getItem } from './access.ts';
import { TemplateError } from './errors.ts';
import { floatDigits, grouped } from './number-format.ts';
import { floatText, intText, numeric, toFloat } from './numbers.ts';
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
import { type Call, typeName, Undefined, type Value } from './values.ts';

const FIELD = /^([^.[!:]*)((?:\.[^.[!:]+|\[[^\]]+\])*)(?:!([rsa]))?(?::(.*))?$/s;
const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** Python's str.format(). */
export function formatText(format: Str, call: Call): Str {
  const filler = new Filler(call, isMarkup(format));
  const result = filler.fill(format, 0);
  return isMarkup(format) ? asMarkup(result) : result;
}

class Filler {
  readonly #call: Call;
  readonly #escaped: boolean;
  #automatic = 0;
  #manual = false;

  constructor(call: Call, escaped: boolean) {
    this.#call = call;
    this.#escaped = escaped;
  }

  fill(format: Str, depth: number): Str {
    if (depth > 1) throw new TemplateError('Max string recursion exceeded');
    const text = raw(format);
    const parts: Str[] = [];
    let at = 0;
    while (at < text.length) {
      const found = /[{}]/g;
      found.lastIndex = at;
      const brace = found.exec(text);
      if (brace === null) break;
      parts.push(part(format, at, brace.index));
      const next = text[brace.index + 1];
      if (next === brace[0]) {
        parts.push(part(format, brace.index, brace.index + 1));
        at = brace.index + 2;
      } else if (brace[0] === '}') {
        throw new TemplateError("Single '}' encountered in format string");
      } else {
        const end = fieldEnd(text, brace.index);
        parts.push(this.#field(text.slice(brace.index + 1, end), depth));
        at = end + 1;
      }
    }
    parts.push(part(format, at));
    return joinAll(parts);
  }

  #field(field: string, depth: number): Str {
    const match = FIELD.exec(field);
    if (match === null) throw new TemplateError(`the replacement field '{${field}}' is malformed`);
    const [, name = '', path = '', conversion, spec = ''] = match;
    let value = this.#argument(name);
    for (const step of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g)) {
      const [, attribute, key = ''] = step;
      value =
        attribute === undefined
          ? getItem(value, /^\d+$/.test(key) ? BigInt(key) : key)
          : getAttribute(value, attribute);
    }
    if (conversion !== undefined) value = conversion === 's' ? str(value) : repr(value);
    const filled = formatValue(value, spec === '' ? '' : raw(this.fill(spec, depth + 1)));
    return this.#escaped ? escapeHtml(filled) : filled;
  }

  #argument(name: string): Value {
    const isIndex = /^\d*$/.test(name);
    if (!isIndex) {
      const value = this.#call.named.get(name);
      if (value === undefined) throw new TemplateError(`KeyError: '${name}'`);
      return value;
    }
    if ((name === '' && this.#manual) || (name !== '' && this.#automatic > 0)) {
      throw new TemplateError('cannot switch between automatic and manual field numbering');
    }
    this.#manual ||= name !== '';
    const index = name === '' ? this.#automatic++ : Number(name);
    const value = this.#call.positional[index];
    if (value === undefined)
      throw new TemplateError(`Replacement index ${index} out of range for positional args tuple`);
    return value;
  }
}

function fieldEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  throw new TemplateError("expected '}' before end of string");
}

interface Spec {
  readonly fill: string | undefined;
  readonly align: string | undefined;
  readonly sign: string;
  readonly alternate: boolean;
  readonly zero: boolean;
  readonly width: number;
  readonly separator: string;
  readonly precision: number | null;
  readonly type: string;
}

/** Python's format(value, spec). */
function formatValue(value: Value, specification: string): Str {
  if (specification === '') return str(value);
  const match = SPEC.exec(specification);
  if (match === null) throw new TemplateError(`Invalid format specifier '${specification}'`);
  const spec: Spec = {
    fill: match[1],
    align: match[2],
    sign: match[3] ?? '-',
    alternate: match[5] !== undefined,
    zero: match[6] !== undefined,
    width: Number(match[7] ?? 0),
    separator: match[8] ?? '',
    precision: match[9] === undefined ? null : Number(match[9]),
    type: match[10] ?? '',
  };
  checkLength(spec.width);
  if (isStr(value)) return formatString(value, spec);
  const number = numeric(value);
  if (number === null || (typeof value === 'boolean' && spec.type === 's')) {
    if (value instanceof Undefined) value.fail();
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const wantsFloat = 'eEfFgG%'.includes(spec.type) && spec.type !== '';
  return typeof number === 'number' || wantsFloat ? formatFloat(toFloat(number), spec) : formatInteger(number, spec);
}

function formatString(value: Str, spec: Spec): Str {
  const { type, align, precision } = spec;
  if ((type !== '' && type !== 's') || align === '=' || spec.sign !== '-' || spec.alternate || spec.separator !== '') {
    throw new TemplateError('Invalid format specifier for a string');
  }
  const text = precision === null ? value : partByPoints(value, 0, Math.min(precision, textLength(value)));
  return padded(text, spec, '<');
}

function formatInteger(value: bigint, spec: Spec): Str {
  const { type, alternate } = spec;
  if (spec.precision !== null) throw new TemplateError('Precision not allowed in integer format specifier');
  if (type === 'c') return padded(String.fromCodePoint(Number(value)), spec, '<');
  const radix = { '': 10, d: 10, n: 10, b: 2, o: 8, x: 16, X: 16 }[type];
  if (radix === undefined) throw new TemplateError(`Unknown format code '${type}' for object of type 'int'`);
  if (spec.separator === ',' && radix !== 10) throw new TemplateError(`Cannot specify ',' with '${type}'.`);
  const magnitude = value < 0n ? -value : value;
  const digits = radix === 10 ? intText(magnitude) : magnitude.toString(radix);
  const prefix = alternate && radix !== 10 ? `0${type}` : '';
  const shown = spec.separator === '' ? digits : grouped(digits, spec.separator, radix === 10 ? 3 : 4);
  return number(value < 0n, prefix, type === 'X' ? shown.toUpperCase() : shown, spec);
}

function formatFloat(value: number, spec: Spec): Str {
  const { type, precision, alternate } = spec;
  const negative = value < 0 || Object.is(value, -0);
  let digits: string;
  if (type === '' || type === 'n') {
    digits =
      type === '' && precision === null ? floatText(Math.abs(value)) : generalDigits(value, precision, alternate, type);
  } else if (type === '%') {
    digits = `${floatDigits(value * 100, { type: 'f', precision: precision ?? 6, alternate })}%`;
  } else if ('eEfFgG'.includes(type)) {
    const lower = type.toLowerCase() as 'e' | 'f' | 'g';
    digits = floatDigits(value, { type: lower, precision: precision ?? 6, alternate });
    if (lower !== type) digits = digits.toUpperCase();
  } else {
    throw new TemplateError(`Unknown format code '${type}' for object of type 'float'`);
  }
  return number(negative, '', spec.separator === '' ? digits : grouped(digits, spec.separator), spec);
}

/** Without a type, a float is written as with g but has a digit after the point and turns to exponents one sooner. */
function generalDigits(value: number, precision: number | null, alternate: boolean, type: string): string {
  const places = Math.max(1, precision ?? 6);
  const digits = floatDigits(value, { type: 'g', precision: places, alternate });
  if (type === 'n' || /[.einf]/.test(digits)) return digits;
  if (digits.length < places) return `${digits}.0`;
  return floatDigits(value, { type: 'e', precision: places - 1, alternate }).replace(/\.?0*e/, 'e');
}

function number(negative: boolean, prefix: string, digits: string, spec: Spec): Str {
  const sign = negative ? '-' : spec.sign === '-' ? '' : spec.sign;
  const zero = spec.zero && spec.align === undefined;
  if (!zero && spec.align !== '=') return padded(sign + prefix + digits, spec, '>');
  const fill = zero ? '0' : (spec.fill ?? (spec.zero ? '0' : ' '));
  if (fill === '0' && spec.separator !== '' && spec.width > sign.length + prefix.length + digits.length) {
    throw new TemplateError('zeros in front of a number with separators are not supported here');
  }
  return sign + prefix + fill.repeat(Math.max(0, spec.width - sign.length - prefix.length - digits.length)) + digits;
}

function padded(text: Str, { fill, align, zero, width }: Spec, natural: '<' | '>'): Str {
  const missing = width - textLength(text);
  if (missing <= 0) return text;
  const filler = fill ?? (zero ? '0' : ' ');
  const side = align ?? natural;
  const before = side === '>' ? missing : side === '^' ? Math.floor(missing / 2) : 0;
  return concat(filler.repeat(before), text, filler.repeat(missing - before));
}
