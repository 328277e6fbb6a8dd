import { TemplateError } from './errors.ts';
import { type Arithmetic, calculate, integer, numeric } from './numbers.ts';
import { percentFormat } from './percent-format.ts';
import { asMarkup, characters, concat, escapeHtml, isMarkup, isStr, raw, repeat } from './text.ts';
import { checkItems, Dict, DictView, Lazy, Range, Tuple, typeName, Undefined, type Value } from './values.ts';

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

/** Python's iter(): the items of a value. */
export function iterate(value: Value): Iterable<Value> {
  if (Array.isArray(value)) return value;
  if (isStr(value)) return characters(value);
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof DictView || value instanceof Range) return value.items();
  if (value instanceof Lazy) return { [Symbol.iterator]: () => value.iterator };
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** All items of a value. */
export function itemsOf(value: Value): Value[] {
  const items: Value[] = [];
  for (const item of iterate(value)) {
    items.push(item);
    checkItems(items.length);
  }
  return items;
}

/** Python's operators + - * / // % **. */
export function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  if (operator === '%' && isStr(left)) return percentFormat(left, right);
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const [first, second] = [numeric(left), numeric(right)];
  if (first !== null && second !== null) return calculate(operator, first, second);
  if (operator === '+') {
    const sum = concatenated(left, right);
    if (sum !== null) return sum;
  }
  if (operator === '*') {
    const product = repeated(left, right) ?? repeated(right, left);
    if (product !== null) return product;
  }
  const sign = operator === '**' ? '** or pow()' : operator;
  throw new TemplateError(`unsupported operand type(s) for ${sign}: '${typeName(left)}' and '${typeName(right)}'`);
}

function concatenated(left: Value, right: Value): Value | null {
  if (isStr(left) && isStr(right)) {
    return isMarkup(left) || isMarkup(right)
      ? asMarkup(concat(escapeHtml(left), escapeHtml(right)))
      : concat(left, right);
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    checkItems(left.length + right.length);
    return [...left, ...right];
  }
  return left instanceof Tuple && right instanceof Tuple ? new Tuple([...left.items, ...right.items]) : null;
}

function repeated(sequence: Value, count: Value): Value | null {
  if (typeof count !== 'bigint' && typeof count !== 'boolean') return null;
  const times = integer(count, '*');
  if (BigInt.asIntN(64, times) !== times) throw new TemplateError("cannot fit 'int' into an index-sized integer");
  if (isStr(sequence)) {
    const text = repeat(sequence, times);
    return isMarkup(sequence) ? asMarkup(text) : text;
  }
  const items = sequence instanceof Tuple ? sequence.items : Array.isArray(sequence) ? sequence : null;
  if (items === null) return null;
  const length = times <= 0n ? 0 : items.length * Number(times);
  checkItems(length);
  const copies = Array.from({ length }, (_, index) => items[index % items.length] as Value);
  return sequence instanceof Tuple ? new Tuple(copies) : copies;
}

/** Python's ==. */
export function equal(left: Value, right: Value): boolean {
  if (isStr(left)) return isStr(right) && raw(left) === raw(right);
  const first = numeric(left);
  if (first !== null) {
    const second = numeric(right);
    return second !== null && first >= second && first <= second;
  }
  if (Array.isArray(left)) return Array.isArray(right) && sameItems(left, right);
  if (left instanceof Tuple) return right instanceof Tuple && sameItems(left.items, right.items);
  if (left instanceof Dict) return right instanceof Dict && sameEntries(left, right);
  if (left instanceof Range) return right instanceof Range && sameItems(left.items(), right.items());
  if (left instanceof Undefined) return right instanceof Undefined;
  return left === right;
}

function sameItems(left: readonly Value[], right: readonly Value[]): boolean {
  return left.length === right.length && left.every((item, index) => equal(item, right[index] as Value));
}

function sameEntries(left: Dict, right: Dict): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left.entries()) {
    const other = right.get(key);
    if (other === undefined || !equal(value, other)) return false;
  }
  return true;
}

/** Python's comparison operators. */
export function compare(operator: Comparison, left: Value, right: Value): boolean {
  if (operator === '==') return equal(left, right);
  if (operator === '!=') return !equal(left, right);
  if (operator === 'in') return contains(right, left);
  if (operator === 'not in') return !contains(right, left);
  return ordered(operator, left, right);
}

/** Whether left < right. */
export function lessThan(left: Value, right: Value): boolean {
  return ordered('<', left, right);
}

function ordered(operator: '<' | '<=' | '>' | '>=', left: Value, right: Value): boolean {
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const [first, second] = [numeric(left), numeric(right)];
  if (first !== null && second !== null) return holds(operator, first, second);
  if (isStr(left) && isStr(right)) return holds(operator, compareText(raw(left), raw(right)), 0);
  const lists = Array.isArray(left) && Array.isArray(right) ? [left, right] : null;
  const pair = left instanceof Tuple && right instanceof Tuple ? [left.items, right.items] : lists;
  if (pair === null) {
    throw new TemplateError(
      `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
    );
  }
  const [a, b] = pair as [readonly Value[], readonly Value[]];
  const at = a.findIndex((item, index) => index >= b.length || !equal(item, b[index] as Value));
  if (at < 0 || at >= b.length) return holds(operator, a.length, b.length);
  return ordered(operator, a[at] as Value, b[at] as Value);
}

function holds(operator: '<' | '<=' | '>' | '>=', left: bigint | number, right: bigint | number): boolean {
  if (operator === '<') return left < right;
  if (operator === '<=') return left <= right;
  return operator === '>' ? left > right : left >= right;
}

/** By code points, as Python orders strings. */
function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  let at = 0;
  while (at < length && left.charCodeAt(at) === right.charCodeAt(at)) at++;
  if (at === length) return left.length - right.length;
  return codeRank(left.charCodeAt(at)) - codeRank(right.charCodeAt(at));
}

/** Surrogates stand for code points above all others. */
function codeRank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

function contains(container: Value, item: Value): boolean {
  if (isStr(container)) {
    if (isStr(item)) return raw(container).includes(raw(item));
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Dict) return container.has(item);
  if (container instanceof DictView && container.typeName === 'dict_keys') return container.dict.has(item);
  if (container instanceof Undefined) return false;
  for (const candidate of iterate(container)) if (candidate === item || equal(candidate, item)) return true;
  return false;
}
