import {
  type CharacterRange,
  characters,
  choice,
  type Expression,
  optional,
  repeat,
  sequence,
  text,
} from './expression.ts';
import { MAX_DIGITS } from './json-grammar.ts';

/** A bound of numbers, as decimal digits. */
export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

interface Decimal {
  readonly isNegative: boolean;
  readonly whole: string;
  readonly fraction: string;
}

const ZERO = text('0');
const MINUS = text('-');
const digit = (from: number, to: number): Expression => characters([0x30 + from, 0x30 + to] satisfies CharacterRange);
const digits = (min: number, max: number): Expression => repeat(digit(0, 9), min, max);
const NOTHING = choice();

/** The digits of a number, at most 15 of them and none in an exponent; null for others. */
function decimal(value: number): Decimal | null {
  const found = /^(-?)(\d+)(?:\.(\d+))?$/.exec(plainDigits(value));
  if (found === null) return null;
  const [whole, fraction] = [found[2]!, found[3] ?? ''];
  return whole.length + fraction.length > MAX_DIGITS ? null : { isNegative: found[1] === '-', whole, fraction };
}

/** Small numbers without an exponent. */
function plainDigits(value: number): string {
  const shortest = String(value);
  return shortest.includes('e-') ? value.toFixed(MAX_DIGITS).replace(/0+$/, '') : shortest;
}

/** Whether a bound has few enough digits to be kept exactly. */
export function isExactBound(value: number): boolean {
  const parts = decimal(value);
  return parts !== null && Number(`${parts.whole}.${parts.fraction}0`) === Math.abs(value);
}

/** Whether all numbers that are written, of 15 digits, keep to a bound, so that it need not be looked at. */
export function isBeyond(side: 'lower' | 'upper', value: number): boolean {
  return (side === 'lower' ? -value : value) >= 10 ** MAX_DIGITS;
}

/**
 * Decimal numbers without exponent, `-? whole (. fraction)?`, of which no part has more digits than a number keeps
 * exactly beside the bounds; so no rounding takes what is read across a bound.
 */
export function decimals(room: number): Expression {
  return sequence(optional(MINUS), anyUnsigned(room));
}

function anyUnsigned(room: number): Expression {
  return sequence(choice(ZERO, sequence(digit(1, 9), digits(0, MAX_DIGITS - 1))), anyFraction(room));
}

/** Digits that a fraction may have. */
export function fractionRoom(bounds: readonly Bound[]): number {
  return MAX_DIGITS - Math.max(1, ...bounds.map(({ value }) => decimal(value)!.whole.length));
}

/** Numbers from a bound on. */
export function numbersAbove({ value, exclusive }: Bound, room: number): Expression {
  const bound = decimal(value)!;
  if (!bound.isNegative) return above(bound, exclusive, room);
  return choice(anyUnsigned(room), sequence(MINUS, below(bound, exclusive, room)));
}

/** Numbers up to a bound. */
export function numbersBelow({ value, exclusive }: Bound, room: number): Expression {
  const bound = decimal(value)!;
  if (bound.isNegative) return sequence(MINUS, above(bound, exclusive, room));
  // Any number with a minus is below it; but -0, which is 0, is not below an exclusive bound of 0.
  const negative = sequence(MINUS, above(ZERO_DECIMAL, value === 0 && exclusive, room));
  return choice(negative, below(bound, exclusive, room));
}

const ZERO_DECIMAL: Decimal = { isNegative: false, whole: '0', fraction: '' };

function above({ whole, fraction }: Decimal, exclusive: boolean, room: number): Expression {
  return choice(
    sequence(digit(1, 9), digits(whole.length, MAX_DIGITS - 1), anyFraction(room)),
    sequence(otherWhole(whole, 'above'), anyFraction(room)),
    sequence(text(whole), fractionAbove(fraction, exclusive, room)),
  );
}

function below({ whole, fraction }: Decimal, exclusive: boolean, room: number): Expression {
  const shorter = whole.length === 1 ? NOTHING : choice(ZERO, sequence(digit(1, 9), digits(0, whole.length - 2)));
  return choice(
    sequence(choice(shorter, otherWhole(whole, 'below')), anyFraction(room)),
    sequence(text(whole), fractionBelow(fraction, exclusive, room)),
  );
}

/** Whole numbers of as many digits that are larger, or smaller. */
function otherWhole(whole: string, side: 'above' | 'below'): Expression {
  const options: Expression[] = [];
  for (let at = 0; at < whole.length; at++) {
    const bound = Number(whole[at]);
    const least = at === 0 && whole.length > 1 ? 1 : 0;
    const [from, to] = side === 'above' ? [bound + 1, 9] : [least, bound - 1];
    const rest = whole.length - at - 1;
    if (from <= to) options.push(sequence(text(whole.slice(0, at)), digit(from, to), digits(rest, rest)));
  }
  return choice(...options);
}

function anyFraction(room: number): Expression {
  return room === 0 ? text('') : optional(sequence(text('.'), digits(1, room)));
}

/** Fractions, with their point, or none; of at least so much. */
function fractionAbove(fraction: string, exclusive: boolean, room: number): Expression {
  const isZero = /^0*$/.test(fraction);
  const more = room === 0 ? NOTHING : sequence(text('.'), digitsAbove(fraction, exclusive, room));
  return isZero && !exclusive ? choice(text(''), more) : more;
}

function fractionBelow(fraction: string, exclusive: boolean, room: number): Expression {
  const isZero = /^0*$/.test(fraction);
  const less = room === 0 ? NOTHING : sequence(text('.'), digitsBelow(fraction, exclusive, room));
  return isZero && exclusive ? less : choice(text(''), less);
}

/** One to `room` digits that are, as a fraction, at least a bound. */
function digitsAbove(bound: string, exclusive: boolean, room: number): Expression {
  const options: Expression[] = [];
  for (let at = 0; at < bound.length; at++) {
    const from = Number(bound[at]) + 1;
    if (from <= 9) options.push(sequence(text(bound.slice(0, at)), digit(from, 9), digits(0, room - at - 1)));
  }
  const rest = room - bound.length;
  if (!exclusive) options.push(bound === '' ? digits(1, room) : sequence(text(bound), digits(0, rest)));
  for (let zeros = 0; exclusive && zeros < rest; zeros++) {
    options.push(sequence(text(bound + '0'.repeat(zeros)), digit(1, 9), digits(0, rest - zeros - 1)));
  }
  return choice(...options);
}

/** One to `room` digits that are, as a fraction, at most a bound. */
function digitsBelow(bound: string, exclusive: boolean, room: number): Expression {
  const options: Expression[] = [];
  for (let at = 0; at < bound.length; at++) {
    const to = Number(bound[at]) - 1;
    if (to >= 0) options.push(sequence(text(bound.slice(0, at)), digit(0, to), digits(0, room - at - 1)));
    // Fewer digits than the bound has are less than it, as long as what is left out is not zero.
    const isLess = !exclusive || !/^0*$/.test(bound.slice(at + 1));
    if (at < bound.length - 1 && isLess) options.push(text(bound.slice(0, at + 1)));
  }
  const rest = room - bound.length;
  if (!exclusive) options.push(sequence(text(bound), repeat(ZERO, bound === '' ? 1 : 0, rest)));
  return choice(...options);
}
