import { StarlingError } from '../../daemon/errors.ts';
import {
  type CharacterRange,
  characters,
  choice,
  type Expression,
  MAX_CHARACTER,
  otherCharacters,
  repeat,
  sequence,
  text,
} from './expression.ts';

const MAX_NESTING = 100;
const MAX_LENGTH = 64 * 1024;
/** Beyond it, a count makes an automaton that is too large. */
const MAX_COUNT = 10_000;

const ANY = characters([0, MAX_CHARACTER]);
const DIGITS: readonly CharacterRange[] = [[0x30, 0x39]];
const WORDS: readonly CharacterRange[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** White space and line ends of ECMAScript. */
const SPACES: readonly CharacterRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly CharacterRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];

const CLASSES: Readonly<Record<string, readonly CharacterRange[]>> = {
  d: DIGITS,
  D: otherCharacters(DIGITS),
  w: WORDS,
  W: otherCharacters(WORDS),
  s: SPACES,
  S: otherCharacters(SPACES),
};

const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, '0': 0, a: 7, e: 27 };

/** An alternative of a whole expression, and whether it is bound to the text's start and end. */
interface Anchored {
  readonly parts: Expression[];
  readonly start: boolean;
  readonly end: boolean;
}

/**
 * The texts that a regular expression matches as a whole. The syntax is what ECMAScript and Python have in common, but
 * for what looks around or back; `^` and `$` may stand at the ends.
 * @throws StarlingError invalid_request for faults, unsupported_parameter for syntax that is not supported
 */
export function wholeMatch(pattern: string): Expression {
  return choice(...new RegexParser(pattern).parse().map(({ parts }) => sequence(...parts)));
}

/**
 * The texts in which a regular expression matches somewhere.
 * @throws as wholeMatch
 */
export function partMatch(pattern: string): Expression {
  const anything = repeat(ANY, 0, Number.POSITIVE_INFINITY);
  return choice(
    ...new RegexParser(pattern)
      .parse()
      .map(({ parts, start, end }) => sequence(...(start ? [] : [anything]), ...parts, ...(end ? [] : [anything]))),
  );
}

class RegexParser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    if (pattern.length > MAX_LENGTH) throw this.#invalid(`it is longer than ${MAX_LENGTH} characters`);
    this.#characters = [...pattern];
  }

  parse(): Anchored[] {
    const alternatives: Anchored[] = [];
    do {
      const start = this.#take('^');
      const parts = this.#parts();
      const end = this.#take('$');
      alternatives.push({ parts, start, end });
    } while (this.#take('|'));
    if (this.#at < this.#characters.length) {
      throw this.#peek() === ')' ? this.#invalid('there is a ) too many') : this.#anchor(this.#peek()!);
    }
    return alternatives;
  }

  #parts(): Expression[] {
    const parts: Expression[] = [];
    for (let next = this.#peek(); next !== undefined && !'|)$'.includes(next); next = this.#peek()) {
      if (next === '^') throw this.#anchor(next);
      parts.push(this.#quantified(this.#atom()));
    }
    return parts;
  }

  #atom(): Expression {
    const next = this.#next();
    switch (next) {
      case '(':
        return this.#group();
      case '[':
        return characters(...this.#class());
      case '.':
        return characters(...otherCharacters(LINE_ENDS));
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw this.#invalid(`there is nothing before ${next} to repeat`);
      default:
        return text(next);
    }
  }

  #group(): Expression {
    if (++this.#depth > MAX_NESTING) throw this.#invalid(`groups nest deeper than ${MAX_NESTING}`);
    if (this.#take('?')) {
      const named = this.#take('P') ? 'P' : '';
      const kind = this.#next();
      const after = this.#peek();
      if (kind === '<' && after !== '=' && after !== '!') while (this.#next() !== '>');
      else if (kind !== ':' || named !== '')
        throw this.#unsupported(`(?${named}${kind}`, 'no looking around, no flags');
    }
    const options = [sequence(...this.#parts())];
    while (this.#take('|')) options.push(sequence(...this.#parts()));
    if (this.#peek() === '$') throw this.#anchor('$');
    if (!this.#take(')')) throw this.#invalid('a ( is not closed');
    this.#depth--;
    return options.length === 1 ? options[0]! : choice(...options);
  }

  #escape(): Expression {
    const next = this.#next();
    const ranges = CLASSES[next];
    if (ranges !== undefined) return characters(...ranges);
    if (/[1-9k]/.test(next)) throw this.#unsupported(`\\${next}`, 'nothing can refer to an earlier match');
    if (/[bBAzZG]/.test(next)) throw this.#unsupported(`\\${next}`, 'only ^ and $ bind a match to a place');
    const character = this.#escaped(next);
    return characters([character, character]);
  }

  /** The character of an escape sequence; `next` is what follows the backslash. */
  #escaped(next: string): number {
    const control = CONTROLS[next];
    if (control !== undefined) return control;
    if (next === 'x') return this.#hex(2);
    if (next === 'u') {
      if (!this.#take('{')) return this.#surrogates(this.#hex(4));
      let digits = '';
      for (let digit = this.#next(); digit !== '}'; digit = this.#next()) digits += digit;
      const value = /^[0-9a-fA-F]{1,8}$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
      if (!(value <= MAX_CHARACTER)) throw this.#invalid(`\\u{${digits.slice(0, 20)}} is no character`);
      return value;
    }
    if (/[A-Za-z]/.test(next)) throw this.#unsupported(`\\${next}`, 'write the characters as a class in brackets');
    return next.codePointAt(0)!;
  }

  #surrogates(high: number): number {
    if (high < 0xd800 || high > 0xdbff || this.#peek() !== '\\' || this.#characters[this.#at + 1] !== 'u') return high;
    this.#at += 2;
    const low = this.#hex(4);
    return String.fromCharCode(high, low).codePointAt(0)!;
  }

  #hex(count: number): number {
    let digits = '';
    while (digits.length < count) digits += this.#next();
    if (!/^[0-9a-fA-F]+$/.test(digits)) throw this.#invalid(`${digits} is no hexadecimal number`);
    return Number.parseInt(digits, 16);
  }

  #class(): CharacterRange[] {
    const isNegated = this.#take('^');
    const ranges: CharacterRange[] = [];
    while (!this.#take(']')) {
      const first = this.#member();
      const isRange = this.#peek() === '-' && this.#characters[this.#at + 1] !== ']';
      if (typeof first !== 'number' || !isRange) {
        if (typeof first === 'number') ranges.push([first, first]);
        else ranges.push(...first);
        continue;
      }
      this.#at++;
      const last = this.#member();
      if (typeof last !== 'number' || last < first) throw this.#invalid('a range in brackets runs backwards');
      ranges.push([first, last]);
    }
    return isNegated ? otherCharacters(ranges) : ranges;
  }

  #member(): number | readonly CharacterRange[] {
    const next = this.#next();
    if (next !== '\\') return next.codePointAt(0)!;
    const escaped = this.#next();
    if (escaped === 'b') return 8;
    return CLASSES[escaped] ?? this.#escaped(escaped);
  }

  #quantified(of: Expression): Expression {
    const counts = this.#counts();
    if (counts === null) return of;
    // Whether as much or as little as possible is taken makes no difference to what matches.
    this.#take('?');
    if ('*+?{'.includes(this.#peek() ?? ' ') && this.#counts() !== null)
      throw this.#invalid('one count follows another');
    return repeat(of, ...counts);
  }

  #counts(): [min: number, max: number] | null {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const found = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(this.#characters.slice(this.#at, this.#at + 22).join(''));
    if (found === null) return null;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (max < min) throw this.#invalid(`${found[0]} counts backwards`);
    if (min > MAX_COUNT || (max > MAX_COUNT && max !== Number.POSITIVE_INFINITY)) {
      throw this.#unsupported(found[0], `counts go up to ${MAX_COUNT}`);
    }
    return [min, max];
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #next(): string {
    const next = this.#characters[this.#at++];
    if (next === undefined) throw this.#invalid('it ends too early');
    return next;
  }

  #take(wanted: string): boolean {
    if (this.#peek() !== wanted) return false;
    this.#at++;
    return true;
  }

  #anchor(anchor: string): StarlingError {
    return this.#unsupported(
      anchor,
      'it may stand only at the ends of an expression, or of an alternative outside of groups',
    );
  }

  #invalid(problem: string): StarlingError {
    return new StarlingError(
      'invalid_request',
      `the regular expression is at fault at character ${this.#at}: ${problem}`,
    );
  }

  #unsupported(syntax: string, advice: string): StarlingError {
    return new StarlingError(
      'unsupported_parameter',
      `${syntax} in a regular expression is not supported (character ${this.#at}); ${advice}`,
    );
  }
}
