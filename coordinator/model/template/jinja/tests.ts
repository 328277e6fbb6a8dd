import { bind, bindPositional } from './arguments.ts';
import { CHARACTER_TESTS } from './character-class.ts';
import { numeric } from './numbers.ts';
import { arithmetic, type Comparison, compare, equal, iterate } from './operators.ts';
import { str } from './repr.ts';
import type { Test } from './runtime.ts';
import { isMarkup, isStr, raw } from './text.ts';
import { Callable, Dict, Lazy, Range, Tuple, Undefined, type Value } from './values.ts';

function plain(test: (subject: Value) => boolean): Test {
  return (subject, call) => {
    bindPositional('test', call, 0, 0);
    return test(subject);
  };
}

function compared(operator: Comparison): Test {
  return (subject, call) => compare(operator, subject, bindPositional('test', call, 1, 1)[0] as Value);
}

function isIterable(subject: Value): boolean {
  if (subject instanceof Lazy) return true;
  try {
    iterate(subject);
    return true;
  } catch {
    return false;
  }
}

function isSequence(subject: Value): boolean {
  if (isStr(subject) || Array.isArray(subject) || subject instanceof Undefined) return true;
  return subject instanceof Tuple || subject instanceof Dict || subject instanceof Range;
}

/** Python's `is`, where strings and numbers that are equal count as one. */
function isSame(left: Value, right: Value): boolean {
  if (left === right) return true;
  const isSimple = (isStr(left) && isStr(right)) || (typeof left === typeof right && typeof left !== 'object');
  return isSimple && equal(left, right);
}

/** All tests of Jinja but `filter` and `test`, which ask for names. */
export const TESTS: Readonly<Record<string, Test>> = {
  boolean: plain((subject) => typeof subject === 'boolean'),
  callable: plain((subject) => subject instanceof Callable || subject instanceof Undefined),
  defined: plain((subject) => !(subject instanceof Undefined)),
  undefined: plain((subject) => subject instanceof Undefined),
  none: plain((subject) => subject === null),
  true: plain((subject) => subject === true),
  false: plain((subject) => subject === false),
  string: plain((subject) => isStr(subject)),
  number: plain((subject) => numeric(subject) !== null),
  integer: plain((subject) => typeof subject === 'bigint'),
  float: plain((subject) => typeof subject === 'number'),
  mapping: plain((subject) => subject instanceof Dict),
  sequence: plain(isSequence),
  iterable: plain(isIterable),
  escaped: plain(isMarkup),
  odd: plain((subject) => equal(arithmetic('%', subject, 2n), 1n)),
  even: plain((subject) => equal(arithmetic('%', subject, 2n), 0n)),
  lower: plain((subject) => CHARACTER_TESTS.islower?.(raw(str(subject))) === true),
  upper: plain((subject) => CHARACTER_TESTS.isupper?.(raw(str(subject))) === true),
  divisibleby: (subject, call) => {
    const [divisor] = bind('divisibleby', call, ['num'], 1);
    return equal(arithmetic('%', subject, divisor as Value), 0n);
  },
  sameas: (subject, call) => isSame(subject, bind('sameas', call, ['other'], 1)[0] as Value),
  in: (subject, call) => compare('in', subject, bind('in', call, ['seq'], 1)[0] as Value),
  '==': compared('=='),
  eq: compared('=='),
  equalto: compared('=='),
  '!=': compared('!='),
  ne: compared('!='),
  '<': compared('<'),
  lt: compared('<'),
  lessthan: compared('<'),
  '<=': compared('<='),
  le: compared('<='),
  '>': compared('>'),
  gt: compared('>'),
  greaterthan: compared('>'),
  '>=': compared('>='),
  ge: compared('>='),
};
