import { getAttribute, ownAttribute } from './access.ts';
import { bind } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { clamped, integer } from './numbers.ts';
import { arithmetic, itemsOf, iterate, lessThan } from './operators.ts';
import { str } from './repr.ts';
import type { Filter, Runtime } from './runtime.ts';
import { ignoringCase, multiSelector, type Selector, sameKey, selector, sortBy } from './selector.ts';
import { asMarkup, characters, isMarkup, isStr, joinAll, raw, textLength } from './text.ts';
import {
  type Call,
  Dict,
  DictView,
  Lazy,
  orElse,
  Range,
  Tuple,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

const LIMIT = 1 << 20;

/** Python's len(). */
export function length(subject: Value): bigint {
  if (isStr(subject)) return BigInt(textLength(subject));
  if (Array.isArray(subject)) return BigInt(subject.length);
  if (subject instanceof Tuple) return BigInt(subject.items.length);
  if (subject instanceof Dict) return BigInt(subject.size);
  if (subject instanceof DictView) return BigInt(subject.dict.size);
  if (subject instanceof Range) return BigInt(subject.length);
  if (subject instanceof Undefined) return 0n;
  throw new TemplateError(`object of type '${typeName(subject)}' has no len()`);
}

/** What Python's reversed() walks through. */
function reversible(subject: Value): Value[] {
  if (subject instanceof Lazy) throw new TemplateError("'generator' object is not reversible");
  if (numericOrNone(subject)) throw new TemplateError(`'${typeName(subject)}' object is not reversible`);
  return itemsOf(subject);
}

function numericOrNone(subject: Value): boolean {
  return subject === null || ['boolean', 'bigint', 'number'].includes(typeof subject);
}

function keySelector(attribute: Value, caseSensitive: Value): Selector {
  const select = selector(attribute);
  return truthy(caseSensitive) ? select : (item) => ignoringCase(select(item));
}

function extreme(name: string, isBetter: (candidate: Value, best: Value) => boolean): Filter {
  return (subject, call) => {
    const [caseSensitive = false, attribute = null] = bind(name, call, ['case_sensitive', 'attribute']);
    const key = keySelector(attribute, caseSensitive);
    let best: readonly [Value, Value] | null = null;
    for (const item of iterate(subject)) {
      const candidate = key(item);
      if (best === null || isBetter(candidate, best[0])) best = [candidate, item];
    }
    return best === null ? new Undefined('No aggregated item, sequence was empty.') : best[1];
  };
}

/** select, reject, selectattr and rejectattr. */
function selection(name: string, wanted: boolean, isByAttribute: boolean): Filter {
  return (subject, call, runtime) => new Lazy(selected(name, subject, call, runtime, wanted, isByAttribute));
}

function* selected(
  name: string,
  subject: Value,
  call: Call,
  runtime: Runtime,
  wanted: boolean,
  isByAttribute: boolean,
): Generator<Value> {
  // nothing is looked at, not even the arguments, where there is nothing to select from
  if (!truthy(subject)) return;
  const rest = [...call.positional];
  let select: Selector = (item) => item;
  if (isByAttribute) {
    const attribute = rest.shift();
    if (attribute === undefined) throw new TemplateError(`${name}: Missing parameter for attribute name`);
    select = selector(attribute);
  }
  const test = rest.shift();
  const inner: Call = { positional: rest, named: call.named };
  for (const item of iterate(subject)) {
    const value = select(item);
    const holds = test === undefined ? truthy(value) : runtime.test(nameOf(test), value, inner);
    if (holds === wanted) yield item;
  }
}

function nameOf(value: Value): string {
  return raw(str(value));
}

function* mapped(subject: Value, call: Call, runtime: Runtime): Generator<Value> {
  if (!truthy(subject)) return;
  const [name, ...rest] = call.positional;
  const attribute = call.named.get('attribute');
  if (name === undefined && attribute !== undefined) {
    for (const key of call.named.keys()) {
      if (key !== 'attribute' && key !== 'default') throw new TemplateError(`Unexpected keyword argument '${key}'`);
    }
    const select = selector(
      attribute,
      orElse(call.named.get('default'), () => null),
    );
    for (const item of iterate(subject)) yield select(item);
    return;
  }
  if (name === undefined) throw new TemplateError('map requires a filter argument');
  const inner: Call = { positional: rest, named: call.named };
  for (const item of iterate(subject)) yield runtime.filter(nameOf(name), item, inner);
}

function* batches(items: Iterable<Value>, size: bigint, filler: Value): Generator<Value> {
  let batch: Value[] = [];
  for (const item of items) {
    if (BigInt(batch.length) === size) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  const missing = filler === null ? 0 : clamped(size, 0, LIMIT) - batch.length;
  yield [...batch, ...Array.from({ length: Math.max(0, missing) }, () => filler)];
}

function* slices(subject: Value, count: bigint, filler: Value): Generator<Value> {
  const items = itemsOf(subject);
  if (count === 0n) throw new TemplateError('integer division or modulo by zero');
  const parts = clamped(count, 0, LIMIT);
  const size = Math.floor(items.length / parts);
  const larger = items.length % parts;
  for (let index = 0; index < parts; index++) {
    const start = index * size + Math.min(index, larger);
    const part = items.slice(start, start + size + (index < larger ? 1 : 0));
    if (filler !== null && index >= larger) part.push(filler);
    yield part;
  }
}

function* unique(subject: Value, key: Selector): Generator<Value> {
  const seen = new Dict();
  for (const item of iterate(subject)) {
    const value = key(item);
    if (seen.has(value)) continue;
    seen.set(value, true);
    yield item;
  }
}

function groupBy(subject: Value, call: Call): Value {
  const parameters = ['attribute', 'default', 'case_sensitive'];
  const [attribute, otherwise = null, caseSensitive = false] = bind('groupby', call, parameters, 1);
  const exact = selector(attribute as Value, otherwise);
  const key: Selector = truthy(caseSensitive) ? exact : (item) => ignoringCase(exact(item));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sortBy(itemsOf(subject), key, false)) {
    const last = groups.at(-1);
    const value = key(item);
    if (last !== undefined && sameKey(last.key, value)) last.items.push(item);
    else groups.push({ key: value, items: [item] });
  }
  return groups.map(({ items }) => new Tuple([exact(items[0] as Value), items], ['grouper', 'list']));
}

function dictSort(subject: Value, call: Call): Value {
  const [caseSensitive = false, by = 'key', isReversed = false] = bind('dictsort', call, [
    'case_sensitive',
    'by',
    'reverse',
  ]);
  const place = isStr(by) ? ['key', 'value'].indexOf(raw(by)) : -1;
  if (place < 0) throw new TemplateError('You can only sort by either "key" or "value"');
  if (!(subject instanceof Dict)) {
    if (subject instanceof Undefined) subject.fail();
    throw new TemplateError(`'${typeName(subject)}' object has no attribute 'items'`);
  }
  const entries = Array.from(subject.entries(), (entry) => new Tuple(entry));
  const key: Selector = (item) => (item as Tuple).items[place] as Value;
  return sortBy(entries, truthy(caseSensitive) ? key : (item) => ignoringCase(key(item)), truthy(isReversed));
}

/** Filters of lists and dicts. */
export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  length: (subject, call) => {
    bind('length', call, []);
    return length(subject);
  },
  list: (subject, call) => {
    bind('list', call, []);
    return itemsOf(subject);
  },
  first: (subject, call) => {
    bind('first', call, []);
    for (const item of iterate(subject)) return item;
    return new Undefined('No first item, sequence was empty.');
  },
  last: (subject, call) => {
    bind('last', call, []);
    return orElse(reversible(subject).at(-1), () => new Undefined('No last item, sequence was empty.'));
  },
  reverse: (subject, call) => {
    bind('reverse', call, []);
    if (isStr(subject)) {
      const text = joinAll(characters(subject).reverse());
      return isMarkup(subject) ? asMarkup(text) : text;
    }
    if (numericOrNone(subject)) throw new TemplateError('argument must be iterable');
    const reversed = itemsOf(subject).reverse();
    return subject instanceof Lazy ? reversed : new Lazy(reversed);
  },
  items: (subject, call) => {
    bind('items', call, []);
    if (subject instanceof Undefined) return new Lazy([]);
    if (!(subject instanceof Dict)) throw new TemplateError('Can only get item pairs from a mapping.');
    return new Lazy(Array.from(subject.entries(), (entry) => new Tuple(entry)));
  },
  sort: (subject, call) => {
    const parameters = ['reverse', 'case_sensitive', 'attribute'];
    const [isReversed = false, caseSensitive = false, attribute = null] = bind('sort', call, parameters);
    const select = multiSelector(attribute);
    // compared as lists, of which two that lack the attribute are equal
    const key: Selector = truthy(caseSensitive) ? select : (item) => select(item).map(ignoringCase);
    return sortBy(itemsOf(subject), key, truthy(isReversed));
  },
  dictsort: dictSort,
  groupby: groupBy,
  unique: (subject, call) => {
    const [caseSensitive = false, attribute = null] = bind('unique', call, ['case_sensitive', 'attribute']);
    return new Lazy(unique(subject, keySelector(attribute, caseSensitive)));
  },
  min: extreme('min', lessThan),
  max: extreme('max', (candidate, best) => lessThan(best, candidate)),
  sum: (subject, call) => {
    const [attribute = null, start = 0n] = bind('sum', call, ['attribute', 'start']);
    if (isStr(start)) throw new TemplateError("sum() can't sum strings [use ''.join(seq) instead]");
    const select = selector(attribute);
    let total: Value = start;
    for (const item of iterate(subject)) total = arithmetic('+', total, select(item));
    return total;
  },
  batch: (subject, call) => {
    const [size, filler = null] = bind('batch', call, ['linecount', 'fill_with'], 1);
    return new Lazy(batches(iterate(subject), integer(size as Value, 'batch()'), filler));
  },
  slice: (subject, call) => {
    const [count, filler = null] = bind('slice', call, ['slices', 'fill_with'], 1);
    return new Lazy(slices(subject, integer(count as Value, 'slice()'), filler));
  },
  map: (subject, call, runtime) => new Lazy(mapped(subject, call, runtime)),
  select: selection('select', true, false),
  reject: selection('reject', false, false),
  selectattr: selection('selectattr', true, true),
  rejectattr: selection('rejectattr', false, true),
  attr: (subject, call) => {
    const [name] = bind('attr', call, ['name'], 1);
    const attribute = nameOf(name as Value);
    if (subject instanceof Undefined) return getAttribute(subject, attribute);
    return orElse(ownAttribute(subject, attribute), () => Undefined.attribute(subject, attribute));
  },
  default: (subject, call) => {
    const [otherwise = '', isForFalse = false] = bind('default', call, ['default_value', 'boolean']);
    return subject instanceof Undefined || (truthy(isForFalse) && !truthy(subject)) ? otherwise : subject;
  },
};
