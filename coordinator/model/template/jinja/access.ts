import { dictMethod, listMethod, MUTATING_METHODS } from './container-methods.ts';
import { TemplateError } from './errors.ts';
import { clamped, integer, numeric } from './numbers.ts';
import { repr } from './repr.ts';
import { STRING_METHODS, stringMethod } from './string-methods.ts';
import { asMarkup, characters, isMarkup, isStr, joinAll, partByPoints, raw, type Str, textLength } from './text.ts';
import { Callable, Dict, orElse, PythonObject, Range, Tuple, typeName, Undefined, type Value } from './values.ts';

/** Attributes that Python's numbers and sequences have and that no template needs: better an error than nothing. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'as_integer_ratio',
  'bit_count',
  'bit_length',
  'conjugate',
  'denominator',
  'from_bytes',
  'fromhex',
  'fromkeys',
  'hex',
  'imag',
  'is_integer',
  'numerator',
  'real',
  'to_bytes',
]);

/** Jinja's `owner.name`: the attribute, or else the item, or else undefined. */
export function getAttribute(owner: Value, name: string): Value {
  if (owner instanceof Undefined) owner.fail();
  const attribute = ownAttribute(owner, name);
  if (attribute !== undefined) return attribute;
  return orElse(itemOrNone(owner, name), () => Undefined.attribute(owner, name));
}

/** Jinja's `owner[key]`: the item, or else the attribute, or else undefined. */
export function getItem(owner: Value, key: Value): Value {
  if (owner instanceof Undefined) owner.fail();
  const item = itemOrNone(owner, key);
  if (item !== undefined) return item;
  if (!isStr(key)) return new Undefined(`${typeName(owner)} object has no element ${raw(repr(key))}`);
  return orElse(ownAttribute(owner, raw(key)), () => Undefined.attribute(owner, raw(key)));
}

/** What Python's getattr() finds; undefined where there is no such attribute. */
export function ownAttribute(owner: Value, name: string): Value | undefined {
  if (name.startsWith('_')) {
    return name.startsWith('__') && name.endsWith('__') ? unsafe(owner, name) : undefined;
  }
  if (isStr(owner)) return STRING_METHODS.has(name) ? stringMethod(owner, name) : undefined;
  if (owner instanceof Dict || Array.isArray(owner)) {
    const type = owner instanceof Dict ? 'dict' : 'list';
    if (MUTATING_METHODS[type].has(name)) return unsafe(owner, name);
    if (name === 'fromkeys' && type === 'dict') return unsupported(owner, name);
    return owner instanceof Dict ? dictMethod(owner, name) : listMethod(owner, name);
  }
  if (owner instanceof Tuple) {
    const index = owner.names.indexOf(name);
    if (index >= 0) return owner.items[index];
    return name === 'index' || name === 'count' ? listMethod(owner.items, name) : undefined;
  }
  if (numeric(owner) !== null) return UNSUPPORTED.has(name) ? unsupported(owner, name) : undefined;
  if (owner instanceof Range && (name === 'index' || name === 'count')) return listMethod(owner.items(), name);
  return owner instanceof PythonObject ? owner.attribute(name) : undefined;
}

function unsafe(owner: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(owner)}' object is unsafe.`);
}

function unsupported(owner: Value, name: string): never {
  throw new TemplateError(`'${name}' of ${typeName(owner)} is not supported here`);
}

function itemOrNone(owner: Value, key: Value): Value | undefined {
  if (owner instanceof Dict) return isHashable(key) ? owner.get(key) : undefined;
  if (typeof key !== 'bigint' && typeof key !== 'boolean') return undefined;
  const index = integer(key, 'index');
  if (isStr(owner)) {
    const length = textLength(owner);
    const at = position(index, length);
    if (at === null) return undefined;
    const character = partByPoints(owner, at, at + 1);
    return isMarkup(owner) ? asMarkup(character) : character;
  }
  const items = sequenceItems(owner);
  const at = items === null ? null : position(index, items.length);
  return at === null ? undefined : items?.[at];
}

function isHashable(key: Value): boolean {
  if (key instanceof Tuple) return key.items.every(isHashable);
  return !Array.isArray(key) && !(key instanceof Dict);
}

function position(index: bigint, length: number): number | null {
  const at = index < 0n ? index + BigInt(length) : index;
  return at < 0n || at >= BigInt(length) ? null : Number(at);
}

function sequenceItems(owner: Value): readonly Value[] | null {
  if (Array.isArray(owner)) return owner;
  if (owner instanceof Tuple) return owner.items;
  return owner instanceof Range ? owner.items() : null;
}

/** Python's `owner[start:stop:step]`. */
export function slice(owner: Value, start: Value, stop: Value, step: Value): Value {
  if (owner instanceof Undefined) owner.fail();
  if (isStr(owner)) {
    const text = sliceText(owner, start, stop, step);
    return isMarkup(owner) ? asMarkup(text) : text;
  }
  if (owner instanceof Range) {
    const indexes = sliceIndexes(owner.length, start, stop, step).map(BigInt);
    const stride = owner.step * (step === null ? 1n : integer(step, 'slice step'));
    const first = owner.start + (indexes[0] ?? 0n) * owner.step;
    return new Range(first, first + BigInt(indexes.length) * stride, stride);
  }
  const items = sequenceItems(owner);
  if (items === null) {
    if (owner instanceof Dict) throw new TemplateError("unhashable type: 'slice'");
    throw new TemplateError(`'${typeName(owner)}' object is not subscriptable`);
  }
  const picked = sliceIndexes(items.length, start, stop, step).map((index) => items[index] as Value);
  return owner instanceof Tuple ? new Tuple(picked) : picked;
}

function sliceText(owner: Str, start: Value, stop: Value, step: Value): Str {
  const length = textLength(owner);
  if (step === null || step === 1n) {
    const [from, to] = sliceBounds(length, start, stop, 1n);
    return partByPoints(owner, from, Math.max(from, to));
  }
  const points = characters(owner);
  return joinAll(sliceIndexes(length, start, stop, step).map((index) => points[index] as Str));
}

function sliceIndexes(length: number, start: Value, stop: Value, step: Value): number[] {
  const stride = step === null ? 1n : integer(step, 'slice step');
  if (stride === 0n) throw new TemplateError('slice step cannot be zero');
  const [from, to] = sliceBounds(length, start, stop, stride);
  const by = clamped(stride, -length - 1, length + 1);
  const indexes: number[] = [];
  for (let at = from; by > 0 ? at < to : at > to; at += by) indexes.push(at);
  return indexes;
}

function sliceBounds(length: number, start: Value, stop: Value, step: bigint): [number, number] {
  const [low, high] = step > 0n ? [0, length] : [-1, length - 1];
  const bound = (value: Value, otherwise: number): number => {
    if (value === null) return otherwise;
    const index = integer(value, 'slice index');
    return clamped(index < 0n ? index + BigInt(length) : index, low, high);
  };
  return step > 0n ? [bound(start, low), bound(stop, high)] : [bound(start, high), bound(stop, low)];
}

/** Calls a value. */
export function callable(value: Value): Callable {
  if (value instanceof Callable) return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(`'${typeName(value)}' object is not callable`);
}
