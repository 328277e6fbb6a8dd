import { StarlingError } from '../../daemon/errors.ts';
import {
  type CharacterRange,
  characters,
  type Expression,
  type Grammar,
  MAX_CHARACTER,
  otherCharacters,
  repeat,
  rule,
  text,
} from './expression.ts';

const MAX_NESTING = 100;
const MAX_LENGTH = 1024 * 1024;
const MAX_COUNT = 10_000;
const ROOT = 'root';
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * Reads a grammar in GBNF, as llama.cpp has it: rules `name ::= …` of literals, characters in brackets, groups, `|` and
 * counts, of which `root` is the text. Single tokens (`<[…]>`) are not supported.
 * @throws StarlingError invalid_request with the line at fault
 */
export function parseGbnf(source: string): Grammar {
  return new GbnfParser(source).parse();
}

class GbnfParser {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
    if (source.length > MAX_LENGTH) throw this.#invalid(`it is longer than ${MAX_LENGTH} characters`);
  }

  parse(): Grammar {
    const rules = new Map<string, Expression>();
    for (this.#space(true); this.#at < this.#source.length; this.#space(true)) {
      const name = this.#name();
      this.#space(false);
      if (!this.#take('::=')) throw this.#invalid(`::= should follow ${name}`);
      if (rules.has(name)) throw this.#invalid(`there are two rules ${name}`);
      this.#space(true);
      rules.set(name, this.#choice(false));
      if (this.#at < this.#source.length && !'\r\n'.includes(this.#source[this.#at]!)) {
        throw this.#invalid(`${JSON.stringify(this.#source[this.#at])} is not expected here`);
      }
    }
    if (!rules.has(ROOT)) throw this.#invalid('there is no rule root');
    return { rules, root: ROOT };
  }

  #choice(inGroup: boolean): Expression {
    const options = [this.#sequence(inGroup)];
    while (this.#take('|')) {
      this.#space(true);
      options.push(this.#sequence(inGroup));
    }
    return options.length === 1 ? options[0]! : { kind: 'choice', options };
  }

  #sequence(inGroup: boolean): Expression {
    const parts: Expression[] = [];
    for (let part = this.#item(); part !== null; part = this.#item()) {
      this.#space(inGroup);
      for (let counts = this.#counts(); counts !== null; counts = this.#counts()) {
        part = repeat(part, ...counts);
        this.#space(inGroup);
      }
      parts.push(part);
    }
    return { kind: 'sequence', parts };
  }

  #item(): Expression | null {
    if (this.#take('"')) return this.#literal();
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return characters([0, MAX_CHARACTER]);
    if (this.#take('(')) {
      if (++this.#depth > MAX_NESTING) throw this.#invalid(`groups nest deeper than ${MAX_NESTING}`);
      this.#space(true);
      const inner = this.#choice(true);
      if (!this.#take(')')) throw this.#invalid('a ( is not closed');
      this.#depth--;
      return inner;
    }
    if (this.#source[this.#at] === '<' || this.#source[this.#at] === '!')
      throw this.#invalid('single tokens are not supported');
    return /[\w-]/.test(this.#source[this.#at] ?? ' ') ? rule(this.#name()) : null;
  }

  #literal(): Expression {
    let value = '';
    while (!this.#take('"')) value += String.fromCodePoint(this.#character());
    return text(value);
  }

  #class(): Expression {
    const isNegated = this.#take('^');
    const ranges: CharacterRange[] = [];
    while (!this.#take(']')) {
      const first = this.#character();
      const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      const last = isRange ? this.#character() : first;
      if (last < first) throw this.#invalid('a range in brackets runs backwards');
      ranges.push([first, last]);
    }
    return { kind: 'characters', ranges: isNegated ? otherCharacters(ranges) : ranges };
  }

  #character(): number {
    const character = this.#source.codePointAt(this.#at);
    if (character === undefined) throw this.#invalid('a literal or a bracket is not closed');
    this.#at += character > 0xffff ? 2 : 1;
    if (character !== 0x5c) return character;
    const letter = this.#source[this.#at++] ?? '';
    const count = HEX_DIGITS[letter];
    if (count === undefined) {
      if (/^["[\]\\^-]$/.test(letter)) return letter.charCodeAt(0);
      const control = ESCAPES[letter];
      if (control === undefined) throw this.#invalid(`\\${letter} is not known`);
      return control.charCodeAt(0);
    }
    const digits = this.#source.slice(this.#at, this.#at + count);
    this.#at += count;
    const value = Number.parseInt(digits, 16);
    if (!/^[0-9a-fA-F]+$/.test(digits) || digits.length < count || value > MAX_CHARACTER) {
      throw this.#invalid(`\\${letter}${digits} is no character`);
    }
    return value;
  }

  #counts(): [min: number, max: number] | null {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    if (this.#source[this.#at] !== '{') return null;
    const found = /^\{\s*(\d{0,9})\s*(,\s*(\d{0,9})\s*)?\}/.exec(this.#source.slice(this.#at, this.#at + 60));
    if (found === null || (found[1] === '' && (found[3] ?? '') === ''))
      throw this.#invalid('a count in braces cannot be read');
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (max < min) throw this.#invalid(`${found[0]} counts backwards`);
    if (min > MAX_COUNT || (max > MAX_COUNT && max !== Number.POSITIVE_INFINITY)) {
      throw this.#invalid(`${found[0]} is too much: counts go up to ${MAX_COUNT}`);
    }
    return [min, max];
  }

  #name(): string {
    const start = this.#at;
    while (/[\w-]/.test(this.#source[this.#at] ?? ' ')) this.#at++;
    if (this.#at === start) throw this.#invalid('a rule should begin here, with its name');
    return this.#source.slice(start, this.#at);
  }

  /** Passes over blanks and comments, and over line ends where they mean nothing. */
  #space(linesToo: boolean): void {
    for (;;) {
      const next = this.#source[this.#at];
      if (next === '#') while (this.#at < this.#source.length && !'\r\n'.includes(this.#source[this.#at]!)) this.#at++;
      else if (next === ' ' || next === '\t' || (linesToo && (next === '\n' || next === '\r'))) this.#at++;
      else return;
    }
  }

  #take(wanted: string): boolean {
    if (!this.#source.startsWith(wanted, this.#at)) return false;
    this.#at += wanted.length;
    return true;
  }

  #invalid(problem: string): StarlingError {
    const line = this.#source.slice(0, this.#at).split('\n').length;
    return new StarlingError('invalid_request', `the grammar is at fault in line ${line}: ${problem}`);
  }
}
