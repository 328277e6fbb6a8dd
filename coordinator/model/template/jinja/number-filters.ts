import { bind } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { floatDigits } from './number-format.ts';
import { calculate, integer, numeric, roundedQuotient, scaledInteger, toFloat, truncated } from './numbers.ts';
import type { Filter } from './runtime.ts';
import { isStr, raw, SPACE } from './text.ts';
import { typeName, Undefined, type Value } from './values.ts';

const OUTER_SPACE = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');
const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^[+-]?(?:0b_?)?[01]+(?:_[01]+)*$/i,
  8: /^[+-]?(?:0o_?)?[0-7]+(?:_[0-7]+)*$/i,
  10: /^[+-]?\d+(?:_\d+)*$/,
  16: /^[+-]?(?:0x_?)?[\da-f]+(?:_[\da-f]+)*$/i,
};
const FLOAT =
  /^[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?|inf(?:inity)?|nan)$/i;

/** Python's int(text, base); null where it raises ValueError. */
function parseInteger(text: string, base: number): bigint | null {
  const trimmed = text.replace(OUTER_SPACE, '');
  const pattern = DIGITS[base];
  if (pattern === undefined) throw new TemplateError(`int: base ${base} is not supported here; use 2, 8, 10 or 16`);
  if (!pattern.test(trimmed)) return null;
  const digits = trimmed
    .replaceAll('_', '')
    .replace(/^[+-]/, '')
    .replace(/^0[box]/i, (prefix) => (base === 10 ? prefix : ''));
  const prefix = { 2: '0b', 8: '0o', 10: '', 16: '0x' }[base] ?? '';
  const magnitude = BigInt(prefix + digits);
  return trimmed.startsWith('-') ? -magnitude : magnitude;
}

/** Python's float(text); null where it raises ValueError. */
function parseFloatText(text: string): number | null {
  const trimmed = text.replace(OUTER_SPACE, '');
  if (!FLOAT.test(trimmed)) return null;
  const plain = trimmed.replaceAll('_', '').toLowerCase();
  if (plain.endsWith('nan')) return Number.NaN;
  if (plain.includes('inf')) return plain.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(plain);
}

function toInteger(subject: Value, base: number): bigint | null {
  if (isStr(subject)) {
    const parsed = parseInteger(raw(subject), base);
    if (parsed !== null) return parsed;
    const float = parseFloatText(raw(subject));
    return float === null || !Number.isFinite(float) ? null : truncated(float);
  }
  const number = numeric(subject);
  if (typeof number !== 'number') return number;
  if (Number.isFinite(number)) return truncated(number);
  if (Number.isNaN(number)) return null;
  throw new TemplateError('cannot convert float infinity to integer');
}

function toFloatOrNull(subject: Value): number | null {
  if (isStr(subject)) return parseFloatText(raw(subject));
  const number = numeric(subject);
  return number === null ? null : toFloat(number);
}

function round(subject: Value, precision: bigint, method: string): Value {
  const number = numeric(subject);
  if (number === null) {
    if (subject instanceof Undefined) subject.fail();
    throw new TemplateError(`type ${typeName(subject)} doesn't define __round__ method`);
  }
  if (precision > 400n || precision < -400n) throw new TemplateError(`round: a precision of ${precision}`);
  const places = Number(precision);
  if (method === 'common') return typeof number === 'bigint' ? roundInt(number, precision) : roundFloat(number, places);
  const scale = calculate('**', 10n, precision);
  const scaled = calculate('*', number, scale);
  const whole =
    typeof scaled === 'bigint' ? scaled : truncated(method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled));
  return calculate('/', whole, scale);
}

function roundInt(value: bigint, precision: bigint): bigint {
  if (precision >= 0n) return value;
  const unit = 10n ** -precision;
  return roundedQuotient(value, unit) * unit;
}

function roundFloat(value: number, places: number): number {
  if (!Number.isFinite(value)) return value;
  const digits = scaledInteger(value, places);
  const rounded = Number(`${digits}e${-places}`);
  return rounded === 0 && (value < 0 || Object.is(value, -0)) ? -0 : rounded;
}

const SIZES = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];

function fileSize(subject: Value, isBinary: boolean): string {
  const bytes = toFloatOrNull(subject);
  if (bytes === null) {
    if (subject instanceof Undefined) subject.fail();
    throw new TemplateError(`filesizeformat wants a number, not ${typeName(subject)}`);
  }
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${truncated(bytes)} Bytes`;
  let power = 0;
  while (power < SIZES.length - 1 && !(bytes < base ** (power + 2))) power++;
  const size = floatDigits((base * bytes) / base ** (power + 2), { type: 'f', precision: 1, alternate: false });
  const letter = SIZES[power] as string;
  return `${size} ${isBinary ? `${letter.toUpperCase()}iB` : `${letter}B`}`;
}

/** Filters that make numbers, or text of them. */
export const NUMBER_FILTERS: Readonly<Record<string, Filter>> = {
  abs: (subject, call) => {
    bind('abs', call, []);
    const number = numeric(subject);
    if (number === null) {
      if (subject instanceof Undefined) subject.fail();
      throw new TemplateError(`bad operand type for abs(): '${typeName(subject)}'`);
    }
    return typeof number === 'bigint' ? (number < 0n ? -number : number) : Math.abs(number);
  },
  int: (subject, call) => {
    const [otherwise = 0n, base = 10n] = bind('int', call, ['default', 'base']);
    if (subject instanceof Undefined) subject.fail();
    return toInteger(subject, Number(integer(base, 'int()'))) ?? otherwise;
  },
  float: (subject, call) => {
    const [otherwise = 0] = bind('float', call, ['default']);
    if (subject instanceof Undefined) subject.fail();
    return toFloatOrNull(subject) ?? otherwise;
  },
  round: (subject, call) => {
    const [precision = 0n, method = 'common'] = bind('round', call, ['precision', 'method']);
    const name = isStr(method) ? raw(method) : '';
    if (!['common', 'ceil', 'floor'].includes(name)) throw new TemplateError('method must be common, ceil or floor');
    return round(subject, integer(precision, 'round()'), name);
  },
  filesizeformat: (subject, call) => {
    const [isBinary = false] = bind('filesizeformat', call, ['binary']);
    return fileSize(subject, isBinary !== false && isBinary !== null);
  },
};
