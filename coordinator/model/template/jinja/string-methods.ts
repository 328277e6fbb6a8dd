import { bind, bindPositional, countArgument, textArgument } from './arguments.ts';
import { CHARACTER_TESTS, capitalize, caseFold, swapCase, title } from './character-class.ts';
import { TemplateError } from './errors.ts';
import { clamped, integer } from './numbers.ts';
import { itemsOf } from './operators.ts';
import { replace, split, splitFromRight, splitLines, strip } from './split.ts';
import { formatText } from './str-format.ts';
import {
  asMarkup,
  changeCase,
  checkLength,
  concat,
  escapeHtml,
  isMarkup,
  isStr,
  joinAll,
  part,
  partByPoints,
  pointsBefore,
  raw,
  type Str,
  textLength,
} from './text.ts';
import { type Call, Callable, Dict, Tuple, truthy, typeName, type Value } from './values.ts';

type Method = (value: Str, call: Call, name: string) => Value;

const LIMIT = 0x7fffffff;

function caseMethod(change: (text: string) => string): Method {
  return (value, call, name) => {
    bindPositional(name, call, 0, 0);
    return changeCase(value, change);
  };
}

function stripMethod(side: 'both' | 'left' | 'right'): Method {
  return (value, call, name) => {
    const [characters = null] = bindPositional(name, call, 0, 1);
    return strip(value, characters === null ? null : textArgument(name, characters), side);
  };
}

function splitMethod(run: (value: Str, separator: Str | null, most: number) => Str[]): Method {
  return (value, call, name) => {
    const [separator = null, most] = bind(name, call, ['sep', 'maxsplit']);
    const limit = clamped(countArgument(name, most, -1n), -1, LIMIT);
    return run(value, separator === null ? null : textArgument(name, separator), limit);
  };
}

/** The part of a text that find, count and others look at, with where it starts; null when there is none. */
function region(value: Str, call: Call, name: string): { text: string; start: number; wanted: Str } | null {
  const [wanted, start = null, stop = null] = bindPositional(name, call, 1, 3);
  const [from, to] = bounds(value, start, stop);
  const text = textArgument(name, wanted);
  return from > to ? null : { text: raw(partByPoints(value, from, to)), start: from, wanted: text };
}

function bounds(value: Str, start: Value, stop: Value): [number, number] {
  const length = textLength(value);
  const bound = (index: Value, otherwise: number, most: number): number => {
    if (index === null) return otherwise;
    const at = integer(index, 'slice index');
    return clamped(at < 0n ? at + BigInt(length) : at, 0, most);
  };
  return [bound(start, 0, length + 1), bound(stop, length, length)];
}

function findMethod(search: (text: string, wanted: string) => number, isIndex: boolean): Method {
  return (value, call, name) => {
    const place = region(value, call, name);
    const units = place === null ? -1 : search(place.text, raw(place.wanted));
    if (units < 0 || place === null) {
      if (isIndex) throw new TemplateError('substring not found');
      return -1n;
    }
    return BigInt(place.start + pointsBefore(place.text, units));
  };
}

function affixMethod(test: (text: string, affix: string) => boolean): Method {
  return (value, call, name) => {
    const [affix, start = null, stop = null] = bindPositional(name, call, 1, 3);
    const affixes = affix instanceof Tuple ? affix.items : [affix as Value];
    const [from, to] = bounds(value, start, stop);
    const text = from > to ? null : raw(partByPoints(value, from, to));
    return affixes.map((item) => raw(textArgument(name, item))).some((item) => text !== null && test(text, item));
  };
}

function partitionMethod(find: (text: string, mark: string) => number, fromRight: boolean): Method {
  return (value, call, name) => {
    const [argument] = bindPositional(name, call, 1, 1);
    const mark = raw(textArgument(name, argument));
    if (mark === '') throw new TemplateError('empty separator');
    const at = find(raw(value), mark);
    if (at < 0) return new Tuple(fromRight ? ['', '', value] : [value, '', '']);
    return new Tuple([part(value, 0, at), part(value, at, at + mark.length), part(value, at + mark.length)]);
  };
}

function justifyMethod(before: (missing: number, width: number) => number): Method {
  return (value, call, name) => {
    const [width, filler = ' '] = bindPositional(name, call, 1, 2);
    const fill = escapedFor(value, textArgument(name, filler));
    if (textLength(fill) !== 1) throw new TemplateError('The fill character must be exactly one character long');
    return justify(value, integer(width as Value, name), fill, before);
  };
}

function justify(value: Str, width: bigint, fill: Str, before: (missing: number, width: number) => number): Str {
  const size = clamped(width, 0, LIMIT);
  checkLength(size);
  const missing = size - textLength(value);
  if (missing <= 0) return value;
  const ahead = before(missing, size);
  const fills = Array.from({ length: missing }, () => fill);
  return joinAll([...fills.slice(0, ahead), value, ...fills.slice(ahead)]);
}

/** str.center(): the odd character goes where CPython puts it. */
export function center(value: Str, width: bigint, fill: Str = ' '): Str {
  return justify(value, width, fill, centered);
}

function centered(missing: number, width: number): number {
  return Math.floor(missing / 2) + (missing & width & 1);
}

function testMethod(test: (text: string) => boolean): Method {
  return (value, call, name) => {
    bindPositional(name, call, 0, 0);
    return test(raw(value));
  };
}

const METHODS: Readonly<Record<string, Method>> = {
  ...Object.fromEntries(Object.entries(CHARACTER_TESTS).map(([name, test]) => [name, testMethod(test)])),
  upper: caseMethod((text) => text.toUpperCase()),
  lower: caseMethod((text) => text.toLowerCase()),
  title: caseMethod(title),
  capitalize: caseMethod(capitalize),
  swapcase: caseMethod(swapCase),
  casefold: caseMethod(caseFold),
  strip: stripMethod('both'),
  lstrip: stripMethod('left'),
  rstrip: stripMethod('right'),
  split: splitMethod(split),
  rsplit: splitMethod(splitFromRight),
  splitlines: (value, call, name) => {
    const [keepEnds = false] = bind(name, call, ['keepends']);
    return splitLines(value, truthy(keepEnds));
  },
  find: findMethod((text, wanted) => text.indexOf(wanted), false),
  rfind: findMethod((text, wanted) => text.lastIndexOf(wanted), false),
  index: findMethod((text, wanted) => text.indexOf(wanted), true),
  rindex: findMethod((text, wanted) => text.lastIndexOf(wanted), true),
  count: (value, call, name) => {
    const place = region(value, call, name);
    if (place === null) return 0n;
    const wanted = raw(place.wanted);
    return BigInt(wanted === '' ? textLength(place.text) + 1 : place.text.split(wanted).length - 1);
  },
  startswith: affixMethod((text, affix) => text.startsWith(affix)),
  endswith: affixMethod((text, affix) => text.endsWith(affix)),
  removeprefix: (value, call, name) => {
    const prefix = raw(textArgument(name, bindPositional(name, call, 1, 1)[0]));
    return raw(value).startsWith(prefix) ? part(value, prefix.length) : value;
  },
  removesuffix: (value, call, name) => {
    const suffix = raw(textArgument(name, bindPositional(name, call, 1, 1)[0]));
    return raw(value).endsWith(suffix) ? part(value, 0, raw(value).length - suffix.length) : value;
  },
  partition: partitionMethod((text, mark) => text.indexOf(mark), false),
  rpartition: partitionMethod((text, mark) => text.lastIndexOf(mark), true),
  replace: (value, call, name) => {
    const [old, substitute, most] = bindPositional(name, call, 2, 3);
    const limit = clamped(countArgument(name, most, -1n), -1, LIMIT);
    return joinAll(replace(value, textArgument(name, old), escapedFor(value, textArgument(name, substitute)), limit));
  },
  join: (value, call, name) => {
    const parts = itemsOf(bindPositional(name, call, 1, 1)[0] as Value).map((item, index) => {
      if (isStr(item)) return escapedFor(value, item);
      throw new TemplateError(`sequence item ${index}: expected str instance, ${typeName(item)} found`);
    });
    return joinAll(parts, value);
  },
  zfill: (value, call, name) => {
    const width = integer(bindPositional(name, call, 1, 1)[0] as Value, name);
    const sign = /^[+-]/.test(raw(value)) ? 1 : 0;
    const digits = justify(part(value, sign), width - BigInt(sign), '0', (missing) => missing);
    return concat(part(value, 0, sign), digits);
  },
  center: justifyMethod(centered),
  ljust: justifyMethod(() => 0),
  rjust: justifyMethod((missing) => missing),
  expandtabs: (value, call, name) => {
    const [size] = bind(name, call, ['tabsize']);
    return expandTabs(value, clamped(countArgument(name, size, 8n), 0, 1000));
  },
  format: formatText,
  format_map: (value, call, name) => {
    const [values] = bindPositional(name, call, 1, 1);
    if (!(values instanceof Dict)) throw new TemplateError('format_map() wants a dict');
    const named = Array.from(values.entries(), ([key, item]) => [isStr(key) ? raw(key) : '', item] as const);
    return formatText(value, { positional: [], named: new Map(named) });
  },
};

function expandTabs(value: Str, size: number): Str {
  const parts: Str[] = [];
  let column = 0;
  let at = 0;
  const text = raw(value);
  for (const character of text) {
    if (character === '\t') {
      const spaces = size === 0 ? 0 : size - (column % size);
      parts.push(' '.repeat(spaces));
      column += spaces;
    } else {
      parts.push(part(value, at, at + character.length));
      column = character === '\n' || character === '\r' ? 0 : column + 1;
    }
    at += character.length;
  }
  return joinAll(parts);
}

const REFUSED = ['encode', 'translate', 'maketrans'];

/** Names that a Python str has; those that no template can use are refused when they are called. */
export const STRING_METHODS: ReadonlySet<string> = new Set([...Object.keys(METHODS), ...REFUSED]);

/** Results that are strings stay Markup where the text is, and what goes into Markup is escaped. */
export function stringMethod(value: Str, name: string): Callable {
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  return new Callable(name, (call) => {
    if (method === undefined) throw new TemplateError(`the method '${name}' of str is not supported here`);
    if (!isMarkup(value)) return method(value, call, name);
    return marked(method(value, call, name));
  });
}

function marked(result: Value): Value {
  if (isStr(result)) return asMarkup(result);
  if (Array.isArray(result)) return result.map(marked);
  return result instanceof Tuple ? new Tuple(result.items.map(marked)) : result;
}

/** Text that goes into Markup is escaped. */
function escapedFor(value: Str, item: Str): Str {
  return isMarkup(value) ? escapeHtml(item) : item;
}
