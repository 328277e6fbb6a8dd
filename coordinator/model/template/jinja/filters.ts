import { bind } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { type JsonStyle, jsonText } from './json-text.ts';
import { NUMBER_FILTERS } from './number-filters.ts';
import { clamped, integer } from './numbers.ts';
import { itemsOf } from './operators.ts';
import type { Filter } from './runtime.ts';
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { isStr, raw, type Str } from './text.ts';
import { TEXT_FILTERS } from './text-filters.ts';
import { truthy, type Value } from './values.ts';

const MAX_INDENT = 1000;

/** As transformers defines it: json.dumps() that leaves all scripts legible. */
function toJson(subject: Value, call: Parameters<Filter>[1]): Str {
  const [ensureAscii = false, indent = null, separators = null, sortKeys = false] = bind('tojson', call, [
    'ensure_ascii',
    'indent',
    'separators',
    'sort_keys',
  ]);
  const [itemSeparator, keySeparator] =
    separators === null ? [indent === null ? ', ' : ',', ': '] : itemsOf(separators).map(separatorText);
  if (itemSeparator === undefined || keySeparator === undefined) {
    throw new TemplateError('tojson: separators must be two strings');
  }
  const style: JsonStyle = {
    ensureAscii: truthy(ensureAscii),
    indent: indent === null ? null : indentText(indent),
    itemSeparator,
    keySeparator,
    sortKeys: truthy(sortKeys),
  };
  return jsonText(subject, style);
}

function separatorText(value: Value): Str {
  if (isStr(value)) return value;
  throw new TemplateError('tojson: separators must be two strings');
}

function indentText(indent: Value): string {
  return isStr(indent) ? raw(indent) : ' '.repeat(clamped(integer(indent, 'tojson()'), 0, MAX_INDENT));
}

const NAMED: Readonly<Record<string, Filter>> = {
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...SEQUENCE_FILTERS,
  tojson: toJson,
};

const ALIASES: Readonly<Record<string, string>> = { d: 'default', e: 'escape', count: 'length' };

/** The filters of Jinja but random, urlize and wordwrap, which no prompt needs. */
export const FILTERS: Readonly<Record<string, Filter>> = {
  ...NAMED,
  ...Object.fromEntries(Object.entries(ALIASES).map(([alias, name]) => [alias, NAMED[name] as Filter])),
};
