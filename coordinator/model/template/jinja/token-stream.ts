import { TemplateSyntaxError } from './errors.ts';
import type { Token, TokenType } from './lexer.ts';

/** Real templates nest about ten deep; what is deeper would exhaust the stack of the parser or of the interpreter. */
const MAX_DEPTH = 120;

/** Tokens read one after the other. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  /** @param tokens ends with 'end of template' */
  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#next] as Token;
  }

  get following(): Token {
    return this.#tokens[Math.min(this.#next + 1, this.#tokens.length - 1)] as Token;
  }

  /** Goes past the current token. */
  advance(): Token {
    const token = this.current;
    if (this.#next < this.#tokens.length - 1) this.#next++;
    return token;
  }

  is(type: TokenType, value?: string): boolean {
    return matches(this.current, type, value);
  }

  /** Goes past the current token if it is this one. */
  skip(type: TokenType, value?: string): boolean {
    const found = this.is(type, value);
    if (found) this.advance();
    return found;
  }

  /** @throws TemplateSyntaxError when the current token is another */
  expect(type: TokenType, value?: string): Token {
    if (!this.is(type, value)) this.fail(`expected ${value === undefined ? type : `'${value}'`}, got ${this.shown()}`);
    return this.advance();
  }

  /** The current token in words. */
  shown(): string {
    const { type, value } = this.current;
    return value === '' || type === 'text' ? type : `'${value}'`;
  }

  fail(message: string): never {
    throw new TemplateSyntaxError(message, this.current.line);
  }

  /** Parses something that may hold others of its kind. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.fail(`nested more than ${MAX_DEPTH} deep`);
    const result = parse();
    this.#depth--;
    return result;
  }
}

export function matches(token: Token, type: TokenType, value?: string): boolean {
  return token.type === type && (value === undefined || token.value === value);
}
