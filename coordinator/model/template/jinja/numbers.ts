import { TemplateError } from './errors.ts';
import { typeName, type Value } from './values.ts';

/** Bits of an integer; Python itself prints none with more than 4300 digits. */
const MAX_BITS = 1 << 16;
const MAX_DIGITS = 4300;

/** bool, int or float as int or float; null for anything else. */
export function numeric(value: Value): bigint | number | null {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'bigint' || typeof value === 'number' ? value : null;
}

/** @throws TemplateError when the integer is beyond what a float holds */
export function toFloat(value: bigint | number): number {
  const float = Number(value);
  if (typeof value === 'bigint' && !Number.isFinite(float))
    throw new TemplateError('int too large to convert to float');
  return float;
}

/** Python's int(float). */
export function truncated(value: number): bigint {
  if (Number.isNaN(value)) throw new TemplateError('cannot convert float NaN to integer');
  if (!Number.isFinite(value)) throw new TemplateError('cannot convert float infinity to integer');
  return BigInt(Math.trunc(value));
}

/** An index or count: int or bool. */
export function integer(value: Value, what: string): bigint {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'bigint') return value;
  throw new TemplateError(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
}

/** An integer as a number between the two limits; beyond them it is the nearer one. */
export function clamped(value: bigint, low: number, high: number): number {
  if (value < BigInt(low)) return low;
  return value > BigInt(high) ? high : Number(value);
}

function checkedInt(value: bigint): bigint {
  if (value >> BigInt(MAX_BITS) !== 0n && -value >> BigInt(MAX_BITS) !== 0n) {
    throw new TemplateError(`an integer of more than ${MAX_BITS} bits`);
  }
  return value;
}

/** @throws TemplateError where Python refuses to print it */
export function intText(value: bigint): string {
  const text = value.toString();
  if (text.length > MAX_DIGITS + 1) throw new TemplateError(`an integer of more than ${MAX_DIGITS} digits`);
  return text;
}

/** Python's repr of a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa, power] = Math.abs(value).toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const size = Math.abs(exponent).toString().padStart(2, '0');
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** value * 10^power as an integer, exactly, halves to the even one: how Python rounds decimals. */
export function scaledInteger(value: number, power: number): bigint {
  const [numerator, denominator] = fraction(value);
  const top = power > 0 ? numerator * 10n ** BigInt(power) : numerator;
  const bottom = power < 0 ? denominator * 10n ** BigInt(-power) : denominator;
  return roundedQuotient(top, bottom);
}

/** Halves to the even one; the divisor is positive. */
export function roundedQuotient(top: bigint, bottom: bigint): bigint {
  const magnitude = top < 0n ? -top : top;
  const quotient = magnitude / bottom;
  const rest = (magnitude % bottom) * 2n;
  const up = rest > bottom || (rest === bottom && quotient % 2n === 1n);
  const rounded = up ? quotient + 1n : quotient;
  return top < 0n ? -rounded : rounded;
}

function fraction(value: number): [bigint, bigint] {
  let denominator = 1n;
  let numerator = value;
  // doubling is exact; a float has at most 1074 binary places
  while (!Number.isInteger(numerator)) {
    numerator *= 2;
    denominator *= 2n;
  }
  return [BigInt(numerator), denominator];
}

export type Arithmetic = '+' | '-' | '*' | '/' | '//' | '%' | '**';

/** Python's arithmetic of two numbers. */
export function calculate(operator: Arithmetic, left: bigint | number, right: bigint | number): bigint | number {
  if (operator !== '/' && typeof left === 'bigint' && typeof right === 'bigint') {
    return operator === '**' ? intPower(left, right) : checkedInt(calculateInts(operator, left, right));
  }
  return calculateFloats(operator, toFloat(left), toFloat(right));
}

function calculateInts(operator: Exclude<Arithmetic, '/' | '**'>, left: bigint, right: bigint): bigint {
  if (operator === '+') return left + right;
  if (operator === '-') return left - right;
  if (operator === '*') return left * right;
  if (right === 0n) throw new TemplateError('integer division or modulo by zero');
  const rest = left % right;
  const differ = rest !== 0n && rest < 0n !== right < 0n;
  if (operator === '%') return differ ? rest + right : rest;
  return left / right - (differ ? 1n : 0n);
}

function intPower(base: bigint, exponent: bigint): bigint | number {
  if (exponent < 0n) return calculateFloats('**', toFloat(base), toFloat(exponent));
  const bits = BigInt(base.toString(2).length) * exponent;
  if (base > 1n || base < -1n) {
    if (bits > BigInt(MAX_BITS)) throw new TemplateError(`an integer of about ${bits} bits`);
    return base ** exponent;
  }
  if (base === -1n) return exponent % 2n === 0n ? 1n : -1n;
  return exponent === 0n ? 1n : base;
}

function calculateFloats(operator: Arithmetic, left: number, right: number): number {
  if (operator === '+') return left + right;
  if (operator === '-') return left - right;
  if (operator === '*') return left * right;
  if (operator === '**') return floatPower(left, right);
  if (right === 0) throw new TemplateError('float division by zero');
  if (operator === '/') return left / right;
  let rest = left % right;
  let quotient = (left - rest) / right;
  if (rest !== 0 && rest < 0 !== right < 0) {
    rest += right;
    quotient -= 1;
  }
  if (operator === '%') return rest === 0 ? signed(0, right) : rest;
  if (quotient === 0) return signed(0, left / right);
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function signed(value: number, like: number): number {
  return like < 0 || Object.is(like, -0) ? -value : value;
}

function floatPower(base: number, exponent: number): number {
  // JavaScript differs from Python, and IEEE 754, in these two
  if (base === 1 || exponent === 0) return 1;
  if (base === -1 && !Number.isFinite(exponent) && !Number.isNaN(exponent)) return 1;
  if (base === 0 && exponent < 0) throw new TemplateError('0.0 cannot be raised to a negative power');
  if (base < 0 && Number.isFinite(base) && Number.isFinite(exponent) && !Number.isInteger(exponent)) {
    throw new TemplateError('a negative number to a fractional power is a complex number, which is not supported here');
  }
  const power = base ** exponent;
  if (!Number.isFinite(power) && Number.isFinite(base) && Number.isFinite(exponent)) {
    throw new TemplateError('(34, "Numerical result out of range")');
  }
  return power;
}
