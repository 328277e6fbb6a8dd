import { TemplateError } from './errors.ts';
import { floatText, intText } from './numbers.ts';
import { itemsOf, lessThan } from './operators.ts';
import { concat, isStr, joinAll, type Str, substitute, withoutMarkup } from './text.ts';
import { Dict, Tuple, typeName, type Value } from './values.ts';

/** The options of Python's json.dumps() that templates give to tojson. */
export interface JsonStyle {
  readonly ensureAscii: boolean;
  /** What one level is indented by; null for everything in one line. */
  readonly indent: string | null;
  readonly itemSeparator: Str;
  readonly keySeparator: Str;
  readonly sortKeys: boolean;
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

/** Python's json.dumps(). */
export function jsonText(value: Value, style: JsonStyle): Str {
  return write(value, style, '\n');
}

function write(value: Value, style: JsonStyle, lineStart: string): Str {
  if (isStr(value)) return quoted(value, style);
  if (Array.isArray(value) || value instanceof Tuple) {
    return enclosed('[', itemsOf(value), ']', style, lineStart, (item, inner) => write(item, style, inner));
  }
  if (value instanceof Dict) {
    return enclosed('{', entriesOf(value, style), '}', style, lineStart, ([key, item], inner) =>
      concat(quoted(keyText(key), style), style.keySeparator, write(item, style, inner)),
    );
  }
  const scalar = scalarText(value);
  if (scalar === null) throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
  return scalar;
}

function scalarText(value: Value): string | null {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'bigint') return intText(value);
  if (typeof value !== 'number') return null;
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
}

function keyText(key: Value): Str {
  if (isStr(key)) return key;
  const scalar = scalarText(key);
  if (scalar === null) {
    throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
  }
  return scalar;
}

function entriesOf(dict: Dict, { sortKeys }: JsonStyle): (readonly [Value, Value])[] {
  const entries = [...dict.entries()];
  if (!sortKeys) return entries;
  return entries.sort(([left], [right]) => (lessThan(left, right) ? -1 : lessThan(right, left) ? 1 : 0));
}

function enclosed<T>(
  open: string,
  items: readonly T[],
  close: string,
  { indent, itemSeparator }: JsonStyle,
  lineStart: string,
  writeItem: (item: T, inner: string) => Str,
): Str {
  if (items.length === 0) return open + close;
  const inner = indent === null ? '' : lineStart + indent;
  const parts = items.map((item) => writeItem(item, inner === '' ? lineStart : inner));
  const end = indent === null ? '' : lineStart;
  return concat(open, inner, joinAll(parts, concat(itemSeparator, inner)), end, close);
}

function quoted(value: Str, { ensureAscii }: JsonStyle): Str {
  const pattern = ensureAscii ? /["\\]|[^ -~]/g : /["\\]|[^ -\uffff]/g;
  const escaped = substitute(withoutMarkup(value), pattern, escapedCharacter);
  return concat('"', escaped, '"');
}

function escapedCharacter(unit: string): string {
  return SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
