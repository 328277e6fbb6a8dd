import { SPACE } from './text.ts';

/* Python's tests of a string's characters, and its changes of case. */

const DIGIT_FORMS =
  '\\u00b2\\u00b3\\u00b9\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c\\u2488-\\u2490';
const ALL_SPACE = new RegExp(`^[${SPACE}]+$`);
const ALL_DECIMAL = /^\p{Nd}+$/u;
const ALL_DIGIT = new RegExp(`^[\\p{Nd}${DIGIT_FORMS}]+$`, 'u');
const CASED = /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u;
const UPPER = /[\p{Uppercase}\p{Lt}]/u;
const LOWER = /[\p{Lowercase}\p{Lt}]/u;

export const CHARACTER_TESTS: Readonly<Record<string, (text: string) => boolean>> = {
  isspace: (text) => ALL_SPACE.test(text),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  isalnum: (text) => /^[\p{L}\p{N}]+$/u.test(text),
  isdecimal: (text) => ALL_DECIMAL.test(text),
  isdigit: (text) => ALL_DIGIT.test(text),
  isnumeric: (text) => /^\p{N}+$/u.test(text),
  isascii: (text) => /^[\0-\x7f]*$/.test(text),
  isidentifier: (text) => /^[\p{ID_Start}_]\p{ID_Continue}*$/u.test(text),
  isprintable: (text) => !/[\p{C}\p{Z}]/u.test(text.replaceAll(' ', '')),
  islower: (text) => /\p{Lowercase}/u.test(text) && !UPPER.test(text),
  isupper: (text) => /\p{Uppercase}/u.test(text) && !LOWER.test(text),
  istitle: (text) => CASED.test(text) && title(text) === text,
};

/** str.title(). */
export function title(text: string): string {
  let afterCased = false;
  return eachCharacter(text, (character, lower) => {
    const result = afterCased ? lower() : titleCase(character);
    afterCased = CASED.test(character);
    return result;
  });
}

/** str.capitalize(). */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return titleCase(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** str.swapcase(). */
export function swapCase(text: string): string {
  return eachCharacter(text, (character, lower) => (UPPER.test(character) ? lower() : character.toUpperCase()));
}

/** @param change is given each character, and what gives its lower case, which for sigma depends on the word */
function eachCharacter(text: string, change: (character: string, lower: () => string) => string): string {
  let result = '';
  let at = 0;
  for (const character of text) {
    const before = at;
    at += character.length;
    const after = at;
    result += change(character, () => {
      if (character !== 'Σ') return character.toLowerCase();
      const endsWord = /\p{Cased}\p{Case_Ignorable}*$/u.test(text.slice(0, before));
      const goesOn = /^\p{Case_Ignorable}*\p{Cased}/u.test(text.slice(after));
      return endsWord && !goesOn ? 'ς' : 'σ';
    });
  }
  return result;
}

/** str.casefold(), which differs from lower() in a few letters only. */
export function caseFold(text: string): string {
  return text.replace(/ß|ẞ/g, 'ss').replace(/ς/g, 'σ').replace(/ſ/g, 's').toLowerCase().replace(/ς/g, 'σ');
}

/** The title case of one character: its upper case, of which only the first letter stays large. */
function titleCase(character: string): string {
  const upper = character.toUpperCase();
  const [first = ''] = upper;
  return upper.length > first.length ? first + upper.slice(first.length).toLowerCase() : upper;
}
