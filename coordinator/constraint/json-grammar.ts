import {
  type CharacterRange,
  characters,
  choice,
  type Expression,
  type Grammar,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.ts';

/** A value of JSON, parsed. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** How values, and names and values, are told apart where nothing else says so: on one line, with a space. */
export const COMMA = ', ';
export const COLON = ': ';

const MANY = Number.POSITIVE_INFINITY;
const DIGIT: CharacterRange = [0x30, 0x39];
const HEX: readonly CharacterRange[] = [DIGIT, [0x41, 0x46], [0x61, 0x66]];
/** Characters of a string that need no escape. */
export const UNESCAPED: readonly CharacterRange[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x10ffff],
];

/** Escapes by number, without surrogates, which are no characters by themselves. */
const ESCAPED_NUMBER = choice(
  sequence(characters(DIGIT, [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), repeat(characters(...HEX), 3, 3)),
  sequence(characters([0x44, 0x44], [0x64, 0x64]), characters([0x30, 0x37]), repeat(characters(...HEX), 2, 2)),
);
const CHARACTER = choice(
  characters(...UNESCAPED),
  sequence(text('\\'), choice(characters(...[...'"\\/bfnrt'].map(one)), sequence(text('u'), ESCAPED_NUMBER))),
);

/** No more digits than a number keeps, so that what is written is what is read. */
export const MAX_DIGITS = 15;
const digits = (min: number, max: number): Expression => repeat(characters(DIGIT), min, max);

export const NATURAL = choice(text('0'), sequence(characters([0x31, 0x39]), digits(0, MAX_DIGITS - 1)));
export const INTEGER = choice(
  text('0'),
  sequence(optional(text('-')), characters([0x31, 0x39]), digits(0, MAX_DIGITS - 1)),
);
const NUMBER = sequence(
  optional(text('-')),
  NATURAL,
  optional(sequence(text('.'), digits(1, MAX_DIGITS))),
  optional(sequence(characters(one('e'), one('E')), optional(characters(one('+'), one('-'))), digits(1, 2))),
);

/** Names of the rules below. */
export const JSON_RULES = {
  value: 'json',
  object: 'json-object',
  array: 'json-array',
  string: 'json-string',
  number: 'json-number',
} as const;

/** Rules of any JSON value, without white space but after commas and colons. */
export const ANY_JSON: ReadonlyMap<string, Expression> = jsonRules(text(''), text(COMMA), text(COLON));

/** Any JSON object, laid out as the model likes. */
export function jsonObjectGrammar(): Grammar {
  const space = optional(
    choice(text(' '), sequence(text('\n'), repeat(characters([0x20, 0x20], [0x09, 0x09]), 0, 40))),
  );
  return {
    rules: jsonRules(space, sequence(space, text(','), space), sequence(space, text(':'), space)),
    root: JSON_RULES.object,
  };
}

function jsonRules(space: Expression, comma: Expression, colon: Expression): ReadonlyMap<string, Expression> {
  const { value, object, array, string, number } = JSON_RULES;
  const list = (item: Expression): Expression => sequence(item, repeat(sequence(comma, item), 0, MANY), space);
  return new Map([
    [value, choice(rule(object), rule(array), rule(string), rule(number), text('true'), text('false'), text('null'))],
    [object, sequence(text('{'), space, optional(list(sequence(rule(string), colon, rule(value)))), text('}'))],
    [array, sequence(text('['), space, optional(list(rule(value))), text(']'))],
    [string, sequence(text('"'), repeat(CHARACTER, 0, MANY), text('"'))],
    [number, NUMBER],
  ]);
}

/** A value as it is written where there is no choice. */
export function spellJson(value: Json): string {
  if (isList(value)) return `[${value.map(spellJson).join(COMMA)}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}${COLON}${spellJson(inner)}`);
    return `{${entries.join(COMMA)}}`;
  }
  return JSON.stringify(value);
}

export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function one(character: string): CharacterRange {
  return [character.charCodeAt(0), character.charCodeAt(0)];
}
