import { getItem } from './access.ts';
import { numeric, truncated } from './numbers.ts';
import { equal, lessThan } from './operators.ts';
import { changeCase, isStr, raw } from './text.ts';
import { Undefined, type Value } from './values.ts';

/** Reads what filters compare or collect from an item. */
export type Selector = (item: Value) => Value;

/**
 * A path such as 'function.name' or 0 into each item.
 * @param otherwise stands for what is undefined on the way
 */
export function selector(path: Value, otherwise: Value | null = null): Selector {
  const keys = pathKeys(path);
  return (item) => {
    let found = item;
    for (const key of keys) {
      found = getItem(found, key);
      if (otherwise !== null && found instanceof Undefined) found = otherwise;
    }
    return found;
  };
}

function pathKeys(path: Value): Value[] {
  if (path === null) return [];
  if (isStr(path))
    return raw(path)
      .split('.')
      .map((key) => (/^\d+$/.test(key) ? BigInt(key) : key));
  const number = numeric(path);
  return [typeof number === 'number' ? truncated(number) : path];
}

/** Several paths with commas between, for sort. */
export function multiSelector(paths: Value): (item: Value) => Value[] {
  const each = isStr(paths)
    ? raw(paths)
        .split(',')
        .map((path) => selector(path))
    : [selector(paths)];
  return (item) => each.map((select) => select(item));
}

/** Strings in lower case, as keys that compare without regard to it. */
export function ignoringCase(value: Value): Value {
  return isStr(value) ? changeCase(value, (text) => text.toLowerCase()) : value;
}

/** Sorts as Python does: equal ones keep their order, also when reversed. */
export function sortBy(items: readonly Value[], key: (item: Value) => Value, isReversed: boolean): Value[] {
  const keyed = items.map((item) => [key(item), item] as const);
  const sign = isReversed ? -1 : 1;
  keyed.sort(([left], [right]) => sign * order(left, right));
  return keyed.map(([, item]) => item);
}

function order(left: Value, right: Value): number {
  if (lessThan(left, right)) return -1;
  return lessThan(right, left) ? 1 : 0;
}

/** Whether two keys are the same. */
export const sameKey = equal;
