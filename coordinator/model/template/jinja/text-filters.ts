import { bind } from './arguments.ts';
import { capitalize } from './character-class.ts';
import { TemplateError } from './errors.ts';
import { clamped, integer } from './numbers.ts';
import { itemsOf } from './operators.ts';
import { percentFormat } from './percent-format.ts';
import { repr, str } from './repr.ts';
import type { Filter } from './runtime.ts';
import { selector } from './selector.ts';
import { length } from './sequence-filters.ts';
import { replace, split, splitFromRight, splitLines, strip } from './split.ts';
import { center } from './string-methods.ts';
import {
  asMarkup,
  changeCase,
  characters,
  concat,
  derived,
  escapeHtml,
  isMarkup,
  isStr,
  joinAll,
  partByPoints,
  raw,
  repeat,
  SPACE,
  type Str,
  substitute,
  textLength,
  withoutMarkup,
} from './text.ts';
import { Dict, Tuple, truthy, Undefined, type Value } from './values.ts';

const LIMIT = 0x7fffffff;
const WORD_START = /([-\s({[<]+)/u;

/** A filter that changes the text of whatever it is given. */
function textFilter(name: string, change: (text: Str) => Str): Filter {
  return (subject, call) => {
    bind(name, call, []);
    const text = str(subject);
    const changed = change(text);
    return isMarkup(text) ? asMarkup(changed) : changed;
  };
}

function titleWords(value: Str): Str {
  const words = raw(value).split(WORD_START);
  let at = 0;
  const parts = words.map((word) => {
    const length = textLength(word);
    const piece = partByPoints(value, at, at + length);
    at += length;
    const first = partByPoints(piece, 0, Math.min(1, length));
    return concat(
      changeCase(first, (text) => text.toUpperCase()),
      changeCase(partByPoints(piece, Math.min(1, length), length), (text) => text.toLowerCase()),
    );
  });
  return joinAll(parts);
}

function indent(value: Str, width: Value, first: Value, blank: Value): Str {
  const margin = isStr(width) ? width : repeat(' ', integer(width, 'indent()'));
  const lines = splitLines(concat(value, '\n'));
  const newline = '\n';
  let result: Str;
  if (truthy(blank)) {
    result = joinAll(lines, concat(newline, margin));
  } else {
    const indented = lines.map((line, index) => (index === 0 || raw(line) === '' ? line : concat(margin, line)));
    result = joinAll(indented, newline);
  }
  return truthy(first) ? concat(margin, result) : result;
}

function truncate(value: Str, length: number, killWords: boolean, end: Str, leeway: number): Str {
  const tail = textLength(end);
  if (length < tail) throw new TemplateError(`expected length >= ${tail}, got ${length}`);
  if (leeway < 0) throw new TemplateError(`expected leeway >= 0, got ${leeway}`);
  const size = textLength(value);
  if (size <= length + leeway) return value;
  const kept = partByPoints(value, 0, Math.min(size, length - tail));
  return concat(killWords ? kept : (splitFromRight(kept, ' ', 1)[0] as Str), end);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\xa0' };

function stripTags(value: Str): Str {
  let text = raw(value);
  for (const [open, close] of [
    ['<!--', '-->'],
    ['<', '>'],
  ] as const) {
    for (let start = text.indexOf(open); start >= 0; start = text.indexOf(open, start)) {
      const end = text.indexOf(close, start);
      if (end < 0) break;
      text = text.slice(0, start) + text.slice(end + close.length);
    }
  }
  const words = raw(joinAll(split(text, null, -1), ' '));
  const unescaped = words.replace(/&(?:#(\d+)|#[xX]([\da-fA-F]+)|(\w+));?/g, (whole, decimal, hex, name) => {
    if (name !== undefined) {
      const character = Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
      if (character === undefined) throw new TemplateError(`striptags: the entity ${whole} is not supported here`);
      return character;
    }
    return String.fromCodePoint(Number.parseInt(decimal ?? hex, decimal === undefined ? 16 : 10));
  });
  return derived(unescaped, value);
}

function urlQuoted(value: Value, safe: string): Str {
  const text = str(value);
  if (/\p{Cs}/u.test(raw(text))) throw new TemplateError('urlencode: half a surrogate pair has no encoding');
  const quoted = encodeURIComponent(raw(text)).replace(/[!'()*]/g, percentEncoded);
  const shown = quoted.replace(/%2F/g, (slash) => (safe === '/' ? '/' : slash));
  return derived(shown, text);
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function urlEncode(subject: Value): Str {
  if (isStr(subject) || (typeof subject !== 'object' && subject !== null) || subject === null)
    return urlQuoted(subject, '/');
  if (subject instanceof Undefined) return '';
  const pairs =
    subject instanceof Dict ? Array.from(subject.entries(), (entry) => [...entry]) : itemsOf(subject).map(itemsOf);
  const parts = pairs.map((pair) => {
    if (pair.length !== 2) throw new TemplateError('urlencode wants pairs');
    const [key, value] = pair.map((item) => substitute(urlQuoted(item, ''), /%20/g, () => '+'));
    return concat(key as Str, '=', value as Str);
  });
  return joinAll(parts, '&');
}

function xmlAttributes(subject: Value, autospace: boolean): Str {
  if (!(subject instanceof Dict)) throw new TemplateError('xmlattr wants a dict');
  const parts: Str[] = [];
  for (const [key, value] of subject.entries()) {
    if (value === null || value instanceof Undefined) continue;
    if (!isStr(key)) throw new TemplateError('xmlattr wants a dict whose keys are strings');
    const name = key;
    if (new RegExp(`[${SPACE}/>=]`).test(raw(name))) {
      throw new TemplateError(`Invalid character in attribute name: ${raw(repr(name))}`);
    }
    parts.push(concat(escapeHtml(name), '="', escapeHtml(str(value)), '"'));
  }
  const joined = withoutMarkup(joinAll(parts, ' '));
  return autospace && parts.length > 0 ? concat(' ', joined) : joined;
}

/** Filters that make text. */
export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  upper: textFilter('upper', (text) => changeCase(text, (all) => all.toUpperCase())),
  lower: textFilter('lower', (text) => changeCase(text, (all) => all.toLowerCase())),
  capitalize: textFilter('capitalize', (text) => changeCase(text, capitalize)),
  title: (subject, call) => {
    bind('title', call, []);
    return titleWords(str(subject));
  },
  string: textFilter('string', (text) => text),
  safe: (subject) => asMarkup(str(subject)),
  escape: (subject) => escapeHtml(str(subject)),
  forceescape: (subject) => escapeHtml(withoutMarkup(str(subject))),
  trim: (subject, call) => {
    const [chars = null] = bind('trim', call, ['chars']);
    const text = str(subject);
    if (chars !== null && !isStr(chars)) throw new TemplateError('strip arg must be None or str');
    const stripped = strip(text, chars, 'both');
    return isMarkup(text) ? asMarkup(stripped) : stripped;
  },
  center: (subject, call) => {
    const [width = 80n] = bind('center', call, ['width']);
    const text = str(subject);
    const centered = center(text, integer(width, 'center()'));
    return isMarkup(text) ? asMarkup(centered) : centered;
  },
  indent: (subject, call) => {
    const [width = 4n, first = false, blank = false] = bind('indent', call, ['width', 'first', 'blank']);
    if (!isStr(subject)) {
      if (subject instanceof Undefined) subject.fail();
      throw new TemplateError('indent wants a string');
    }
    const indented = indent(subject, width, first, blank);
    return isMarkup(subject) ? asMarkup(indented) : indented;
  },
  truncate: (subject, call) => {
    const parameters = ['length', 'killwords', 'end', 'leeway'];
    const [most = 255n, killWords = false, end = '...', leeway = null] = bind('truncate', call, parameters);
    if (!isStr(end)) throw new TemplateError('truncate: end must be a string');
    const size = clamped(integer(most, 'truncate()'), -LIMIT, LIMIT);
    const tolerance = leeway === null ? 5 : clamped(integer(leeway, 'truncate()'), -LIMIT, LIMIT);
    if (!isStr(subject)) {
      if (size >= textLength(end) && tolerance >= 0 && length(subject) <= BigInt(size + tolerance)) return subject;
      throw new TemplateError('truncate wants a string');
    }
    return truncate(subject, size, truthy(killWords), end, tolerance);
  },
  replace: (subject, call) => {
    const [old, substitution, count = null] = bind('replace', call, ['old', 'new', 'count'], 2);
    const most = count === null ? -1 : clamped(integer(count, 'replace()'), -1, LIMIT);
    return joinAll(
      replace(
        withoutMarkup(str(subject)),
        withoutMarkup(str(old as Value)),
        withoutMarkup(str(substitution as Value)),
        most,
      ),
    );
  },
  format: (subject, call) => {
    const { positional, named } = call;
    if (positional.length > 0 && named.size > 0) {
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    }
    return percentFormat(str(subject), named.size > 0 ? new Dict(named) : new Tuple(positional));
  },
  join: (subject, call) => {
    const [separator = '', attribute = null] = bind('join', call, ['d', 'attribute']);
    const items = attribute === null ? itemsOf(subject) : itemsOf(subject).map(selector(attribute));
    return joinAll(
      items.map((item) => withoutMarkup(str(item))),
      withoutMarkup(str(separator)),
    );
  },
  striptags: (subject, call) => {
    bind('striptags', call, []);
    return stripTags(str(subject));
  },
  urlencode: (subject, call) => {
    bind('urlencode', call, []);
    return urlEncode(subject);
  },
  xmlattr: (subject, call) => {
    const [autospace = true] = bind('xmlattr', call, ['autospace']);
    return xmlAttributes(subject, truthy(autospace));
  },
  wordcount: (subject, call) => {
    bind('wordcount', call, []);
    return BigInt(raw(str(subject)).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
  },
  pprint: (subject, call) => {
    bind('pprint', call, []);
    const text = repr(subject);
    if (textLength(text) > 80 || /\{/.test(raw(text)) || characters(text).length === 0) {
      throw new TemplateError('pprint of a dict, or of more than a line, is not supported here');
    }
    return text;
  },
};
