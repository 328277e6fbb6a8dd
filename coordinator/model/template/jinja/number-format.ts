import { TemplateError } from './errors.ts';
import { scaledInteger } from './numbers.ts';

/** Places after the point; more serve nobody. */
export const MAX_PRECISION = 1000;

export interface FloatStyle {
  /** e, f or g, as in C. */
  readonly type: 'e' | 'f' | 'g';
  readonly precision: number;
  /** Keep the point and trailing zeros of g, and the point of a whole number. */
  readonly alternate: boolean;
}

/** The magnitude of a float as C's printf writes it, exactly rounded; no sign. */
export function floatDigits(value: number, { type, precision, alternate }: FloatStyle): string {
  if (precision > MAX_PRECISION) throw new TemplateError(`a precision of ${precision}; at most ${MAX_PRECISION}`);
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return 'nan';
  if (!Number.isFinite(magnitude)) return 'inf';
  if (type === 'f') return pointed(scaledInteger(magnitude, precision), precision, alternate);
  if (type === 'e') {
    const { digits, exponent } = significant(magnitude, precision + 1);
    return scientific(digits, exponent, alternate);
  }
  const wanted = Math.max(1, precision);
  const { digits, exponent } = significant(magnitude, wanted);
  const shown = alternate ? digits : digits.replace(/0+$/, '') || '0';
  if (exponent < -4 || exponent >= wanted) return scientific(shown, exponent, alternate);
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${shown}`;
  const whole = shown.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const rest = shown.slice(exponent + 1);
  return rest === '' && !alternate ? whole : `${whole}.${rest}`;
}

function pointed(scaled: bigint, places: number, alternate: boolean): string {
  const digits = scaled.toString().padStart(places + 1, '0');
  if (places === 0) return alternate ? `${digits}.` : digits;
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

function scientific(digits: string, exponent: number, alternate: boolean): string {
  const size = Math.abs(exponent).toString().padStart(2, '0');
  const rest = digits.slice(1);
  const point = rest === '' && !alternate ? '' : '.';
  return `${digits[0]}${point}${rest}e${exponent < 0 ? '-' : '+'}${size}`;
}

function significant(magnitude: number, count: number): { digits: string; exponent: number } {
  if (magnitude === 0) return { digits: '0'.repeat(count), exponent: 0 };
  let exponent = Number(magnitude.toExponential().split('e')[1]);
  let digits = scaledInteger(magnitude, count - 1 - exponent).toString();
  if (digits.length > count) {
    // rounded up to the next power of ten
    exponent++;
    digits = scaledInteger(magnitude, count - 1 - exponent).toString();
  }
  return { digits, exponent };
}

/** Puts a separator between groups of digits of a number's whole part. */
export function grouped(digits: string, separator: string, size = 3): string {
  const whole = /^[0-9a-f]*/i.exec(digits)?.[0] ?? '';
  const first = whole.length % size;
  const groups = first === 0 ? [] : [whole.slice(0, first)];
  for (let at = first; at < whole.length; at += size) groups.push(whole.slice(at, at + size));
  return groups.join(separator) + digits.slice(whole.length);
}
