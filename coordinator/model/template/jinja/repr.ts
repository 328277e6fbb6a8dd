import { floatText, intText } from './numbers.ts';
import { concat, isStr, joinAll, raw, type Str, substitute, withoutMarkup } from './text.ts';
import { Dict, DictView, Tuple, Undefined, type Value } from './values.ts';

const ESCAPED = /[\\\n\r\t]|[\p{C}\p{Z}]/gu;

/** Python's str(). */
export function str(value: Value): Str {
  if (isStr(value)) return value;
  return value instanceof Undefined ? '' : repr(value);
}

/** Python's repr(). */
export function repr(value: Value): Str {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return intText(value);
  if (typeof value === 'number') return floatText(value);
  if (isStr(value)) return stringRepr(value);
  if (Array.isArray(value)) return concat('[', joinAll(value.map(repr), ', '), ']');
  if (value instanceof Tuple) {
    return concat('(', joinAll(value.items.map(repr), ', '), value.items.length === 1 ? ',)' : ')');
  }
  if (value instanceof Dict) {
    const entries = Array.from(value.entries(), ([key, item]) => concat(repr(key), ': ', repr(item)));
    return concat('{', joinAll(entries, ', '), '}');
  }
  if (value instanceof DictView) return concat(`${value.typeName}(`, repr(value.items()), ')');
  return value.repr();
}

function stringRepr(value: Str): Str {
  const text = raw(value);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = substitute(withoutMarkup(value), ESCAPED, escapedCharacter);
  const quoted = quote === "'" ? substitute(escaped, /'/g, () => "\\'") : escaped;
  const literal = concat(quote, quoted, quote);
  return value !== text && withoutMarkup(value) !== value ? concat('Markup(', literal, ')') : literal;
}

function escapedCharacter(character: string): string {
  if (character === '\\') return '\\\\';
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  if (character === '\t') return '\\t';
  if (character === ' ') return ' ';
  const code = character.codePointAt(0) as number;
  const digits = code.toString(16);
  if (code < 0x100) return `\\x${digits.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}
