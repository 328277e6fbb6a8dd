import { TemplateSyntaxError } from './errors.ts';
import { SPACE } from './text.ts';

export type TokenType =
  | 'text'
  | 'print begin'
  | 'print end'
  | 'block begin'
  | 'block end'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end of template';

export interface Token {
  readonly type: TokenType;
  /** The characters; of strings what the literal stands for. */
  readonly value: string;
  readonly line: number;
}

const WHITE = `[${SPACE}]`;
const RAW_BEGIN = new RegExp(`\\{%[-+]?${WHITE}*raw${WHITE}*(?:-%\\}${WHITE}*|%\\})`, 'y');
const RAW_END = new RegExp(`(\\{%([-+]?))${WHITE}*endraw${WHITE}*(?:\\+%\\}|-%\\}${WHITE}*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${WHITE}*|#\\}\\n?`, 'g');
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}${WHITE}*|%\\}\\n?`, 'y');
const PRINT_END = new RegExp(`-\\}\\}${WHITE}*|\\}\\}`, 'y');
const ONLY_SPACE = new RegExp(`^${WHITE}+$`);
const SPACE_AT_END = new RegExp(`${WHITE}$`);

const RULES: readonly (readonly [TokenType | 'space', RegExp])[] = [
  ['space', new RegExp(`${WHITE}+`, 'y')],
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{N}\p{M}_]+/uy],
  ['string', /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy],
  ['operator', /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y],
];

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/**
 * The tokens of a template, with white space around tags dropped as transformers wants it: the rest of the line behind
 * a block, and what is in front of a block that begins its line.
 * @throws TemplateSyntaxError
 */
export function tokenize(source: string): Token[] {
  const lexer = new Lexer(source.replace(/\r\n?/g, '\n').replace(/\n$/, ''));
  return lexer.run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #counted = 0;
  #isLineStart = true;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    for (;;) {
      const begin = this.#nextTag();
      if (begin < 0) break;
      const sign = this.#source[begin + 2] ?? '';
      const isPrint = this.#source[begin + 1] === '{';
      this.#text(this.#stripped(begin, sign, !isPrint));
      const raw = this.#match(RAW_BEGIN, begin);
      this.#at = begin + (sign === '-' || sign === '+' ? 3 : 2);
      if (raw !== null) {
        this.#at = begin + raw.length;
        this.#raw();
      } else if (this.#source[begin + 1] === '#') {
        this.#skipTo(COMMENT_END, 'Missing end of comment tag');
      } else {
        this.#code(isPrint ? 'print' : 'block', begin);
      }
      this.#isLineStart = this.#source[this.#at - 1] === '\n';
    }
    this.#text(this.#source.slice(this.#at));
    this.#push('end of template', '', this.#source.length);
    return this.#tokens;
  }

  #nextTag(): number {
    const pattern = /\{[%#{]/g;
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source)?.index ?? -1;
  }

  /** The text in front of a tag. */
  #stripped(end: number, sign: string, startsBlock: boolean): string {
    const text = this.#source.slice(this.#at, end);
    if (sign === '-') return trimEnd(text);
    if (sign === '+' || !startsBlock) return text;
    const lineAt = text.lastIndexOf('\n') + 1;
    const begins = lineAt > 0 || this.#isLineStart;
    return begins && ONLY_SPACE.test(text.slice(lineAt)) ? text.slice(0, lineAt) : text;
  }

  #raw(): void {
    RAW_END.lastIndex = this.#at;
    const end = RAW_END.exec(this.#source);
    if (end === null) throw new TemplateSyntaxError('Missing end of raw directive', this.#lineAt(this.#at));
    this.#isLineStart = this.#source[this.#at - 1] === '\n';
    this.#text(this.#stripped(end.index, end[2] ?? '', true));
    this.#at = end.index + end[0].length;
  }

  #skipTo(pattern: RegExp, failure: string): void {
    pattern.lastIndex = this.#at;
    const end = pattern.exec(this.#source);
    if (end === null) throw new TemplateSyntaxError(failure, this.#lineAt(this.#at));
    this.#at = end.index + end[0].length;
  }

  #code(kind: 'print' | 'block', begin: number): void {
    this.#push(`${kind} begin`, '', begin);
    const open: string[] = [];
    for (;;) {
      const end = open.length > 0 ? null : this.#match(kind === 'print' ? PRINT_END : BLOCK_END, this.#at);
      if (end !== null) {
        this.#push(`${kind} end`, '', this.#at);
        this.#at += end.length;
        return;
      }
      if (this.#at >= this.#source.length) {
        throw new TemplateSyntaxError('the template ends within a tag', this.#lineAt(begin));
      }
      this.#token(open);
    }
  }

  #token(open: string[]): void {
    for (const [type, pattern] of RULES) {
      const found = this.#match(pattern, this.#at);
      if (found === null) continue;
      if (type === 'operator') this.#balance(found, open);
      if (type === 'name' && !/^[\p{ID_Start}_]\p{ID_Continue}*$/u.test(found)) {
        throw new TemplateSyntaxError('Invalid character in identifier', this.#lineAt(this.#at));
      }
      if (type === 'string') this.#push(type, this.#unescaped(found.slice(1, -1)), this.#at);
      else if (type !== 'space') this.#push(type, found, this.#at);
      this.#at += found.length;
      return;
    }
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at) as number);
    throw new TemplateSyntaxError(`unexpected char '${character}'`, this.#lineAt(this.#at));
  }

  #balance(operator: string, open: string[]): void {
    const closing = CLOSING[operator];
    if (closing !== undefined) open.push(closing);
    if (operator !== ')' && operator !== ']' && operator !== '}') return;
    const expected = open.pop();
    if (expected === operator) return;
    const hint = expected === undefined ? '' : `, expected '${expected}'`;
    throw new TemplateSyntaxError(`unexpected '${operator}'${hint}`, this.#lineAt(this.#at));
  }

  #unescaped(literal: string): string {
    return literal.replace(
      /\\(?:(\n)|([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([abfnrtv\\'"])|([xuUN]))/g,
      (whole, newline, octal, x, u, long, short, broken) => {
        if (newline !== undefined) return '';
        if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
        if (short !== undefined) return ESCAPES[short] ?? whole;
        const code = Number.parseInt(x ?? u ?? long ?? '', 16);
        if (broken !== undefined || code > 0x10ffff) {
          throw new TemplateSyntaxError(`the escape ${whole} is malformed or not supported`, this.#lineAt(this.#at));
        }
        return String.fromCodePoint(code);
      },
    );
  }

  #match(pattern: RegExp, at: number): string | null {
    pattern.lastIndex = at;
    return pattern.exec(this.#source)?.[0] ?? null;
  }

  #text(text: string): void {
    if (text !== '') this.#push('text', text, this.#at);
  }

  #push(type: TokenType, value: string, at: number): void {
    this.#tokens.push({ type, value, line: this.#lineAt(at) });
  }

  /** Positions come in order. */
  #lineAt(at: number): number {
    for (; this.#counted < at; this.#counted++) if (this.#source[this.#counted] === '\n') this.#line++;
    return this.#line;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE_AT_END.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}
