import { ExpressionParser, type KnownNames } from './expression-parser.ts';
import { tokenize } from './lexer.ts';
import type { Expression, MacroBody, Parameter, Statement, Target } from './syntax-tree.ts';
import { matches, TokenStream } from './token-stream.ts';

/** Variables of a macro that it has only if its body reads them. */
const IMPLICIT_PARAMETERS = new Set(['caller', 'varargs', 'kwargs']);
/** Statements that need other templates, or that no chat template uses. */
const REFUSED = new Set(['include', 'import', 'from', 'extends', 'block', 'autoescape', 'trans', 'pluralize', 'debug']);

/**
 * Reads a template.
 * @throws TemplateSyntaxError, also for filters, tests and statements that are not known here
 */
export function parseTemplate(source: string, known: KnownNames): readonly Statement[] {
  return new Parser(new TokenStream(tokenize(source)), known).template();
}

class Parser {
  readonly #stream: TokenStream;
  readonly #expressions: ExpressionParser;
  /** What each of the macros around has read of its implicit parameters. */
  readonly #reads: Set<string>[] = [];
  /** Loops around within the macro around; break and continue need one. */
  #loops = 0;

  constructor(stream: TokenStream, known: KnownNames) {
    this.#stream = stream;
    this.#expressions = new ExpressionParser(stream, known, (name) => {
      if (IMPLICIT_PARAMETERS.has(name)) for (const reads of this.#reads) reads.add(name);
    });
  }

  template(): readonly Statement[] {
    const statements = this.#statements([]);
    if (!this.#stream.is('end of template')) {
      this.#stream.advance();
      this.#stream.fail(`Encountered unknown tag ${this.#stream.shown()}`);
    }
    return statements;
  }

  /** Statements up to a block that begins with one of the names, whose begin is not read. */
  #statements(ends: readonly string[]): Statement[] {
    const statements: Statement[] = [];
    while (!this.#stream.is('end of template')) {
      const { type, value, line } = this.#stream.current;
      if (type === 'text') {
        this.#stream.advance();
        statements.push({ kind: 'text', text: value, line });
      } else if (type === 'print begin') {
        this.#stream.advance();
        statements.push({ kind: 'print', value: this.#expressions.tuple(), line });
        this.#stream.expect('print end');
      } else {
        if (this.#stream.following.type === 'name' && ends.includes(this.#stream.following.value)) return statements;
        this.#stream.expect('block begin');
        statements.push(this.#stream.nested(() => this.#block(line)));
        this.#stream.expect('block end');
      }
    }
    if (ends.length > 0) this.#stream.fail(`Unexpected end of template; expected ${ends.join(' or ')}`);
    return statements;
  }

  /** The body of a block and the name that ends it. */
  #body(ends: readonly string[]): { body: Statement[]; end: string } {
    this.#stream.skip('operator', ':');
    this.#stream.expect('block end');
    const body = this.#statements(ends);
    this.#stream.expect('block begin');
    return { body, end: this.#stream.advance().value };
  }

  #block(line: number): Statement {
    const { value: name } = this.#stream.expect('name');
    switch (name) {
      case 'for':
        return { ...this.#for(), line };
      case 'if':
        return { ...this.#if(), line };
      case 'set':
        return { ...this.#set(), line };
      case 'macro':
        return { ...this.#macro(), line };
      case 'call':
        return { ...this.#callBlock(), line };
      case 'filter': {
        const filter = this.#expressions.filters();
        if (filter === null) this.#stream.fail(`expected a filter, got ${this.#stream.shown()}`);
        return { kind: 'filter block', filter, body: this.#body(['endfilter']).body, line };
      }
      case 'with':
        return { ...this.#with(), line };
      case 'do':
        return { kind: 'do', value: this.#expressions.tuple(), line };
      case 'print':
        return { ...this.#print(), line };
      case 'generation':
        return { kind: 'generation', body: this.#apart(() => this.#body(['endgeneration']).body), line };
      case 'break':
      case 'continue':
        if (this.#loops === 0) this.#stream.fail(`'${name}' outside loop`);
        return { kind: name, line };
      default:
        if (REFUSED.has(name)) this.#stream.fail(`the statement '${name}' is not supported in chat templates`);
        return this.#stream.fail(`Encountered unknown tag '${name}'`);
    }
  }

  #print(): { kind: 'print'; value: Expression } {
    const items: Expression[] = [];
    while (!this.#stream.is('block end')) {
      if (items.length > 0) this.#stream.expect('operator', ',');
      items.push(this.#expressions.expression());
    }
    return { kind: 'print', value: { kind: 'concatenation', parts: items } };
  }

  /** A body whose loops are none of those around. */
  #apart<T>(parse: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const result = parse();
    this.#loops = loops;
    return result;
  }

  #for() {
    const target = this.#target(true, false, (): boolean => this.#stream.is('name', 'in'));
    this.#stream.expect('name', 'in');
    const items = this.#expressions.tuple(false, () => this.#stream.is('name', 'recursive'));
    const filter = this.#stream.skip('name', 'if') ? this.#expressions.expression() : null;
    const isRecursive = this.#stream.skip('name', 'recursive');
    this.#loops++;
    const { body, end } = this.#body(['endfor', 'else']);
    this.#loops--;
    const otherwise = end === 'else' ? this.#body(['endfor']).body : [];
    return { kind: 'for', target, items, filter, isRecursive, body, otherwise } as const;
  }

  #if() {
    const branches: { test: Expression; body: Statement[] }[] = [];
    this.#expressions.branches++;
    for (;;) {
      const test = this.#expressions.tuple(false);
      const { body, end } = this.#body(['elif', 'else', 'endif']);
      branches.push({ test, body });
      if (end === 'elif') continue;
      const otherwise = end === 'else' ? this.#body(['endif']).body : [];
      this.#expressions.branches--;
      return { kind: 'if', branches, otherwise } as const;
    }
  }

  #set() {
    const target = this.#target(true, true);
    if (this.#stream.skip('operator', '=')) {
      return { kind: 'set', target, value: this.#expressions.tuple() } as const;
    }
    const filter = this.#stream.is('operator', '|') ? this.#expressions.filters() : null;
    return { kind: 'set block', target, filter, body: this.#body(['endset']).body } as const;
  }

  #with() {
    const bindings: (readonly [Target, Expression])[] = [];
    while (!this.#stream.is('block end')) {
      if (bindings.length > 0) this.#stream.expect('operator', ',');
      const target = this.#target(true, false);
      this.#stream.expect('operator', '=');
      bindings.push([target, this.#expressions.expression()]);
    }
    return { kind: 'with', bindings, body: this.#body(['endwith']).body } as const;
  }

  #macro() {
    const name = this.#name();
    const macro = this.#macroBody(name, () => this.#parameters(), 'endmacro');
    return { kind: 'macro', macro } as const;
  }

  #callBlock() {
    const parameters = this.#stream.is('operator', '(') ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.kind !== 'call') this.#stream.fail('expected call');
    const caller = this.#macroBody('caller', () => parameters, 'endcall');
    return { kind: 'call block', call, caller } as const;
  }

  #macroBody(name: string, parse: () => Parameter[], end: string): MacroBody {
    const reads = new Set<string>();
    this.#reads.push(reads);
    const parameters = parse();
    const body = this.#apart(() => this.#body([end]).body);
    this.#reads.pop();
    return { name, parameters, body, reads };
  }

  #parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.#stream.expect('operator', '(');
    while (!this.#stream.is('operator', ')')) {
      if (parameters.length > 0) this.#stream.expect('operator', ',');
      const name = this.#name();
      const otherwise = this.#stream.skip('operator', '=') ? this.#expressions.expression() : null;
      if (otherwise === null && parameters.at(-1)?.otherwise) {
        this.#stream.fail('non-default argument follows default argument');
      }
      if (parameters.some((other) => other.name === name)) this.#stream.fail(`duplicate argument '${name}'`);
      parameters.push({ name, otherwise });
    }
    this.#stream.expect('operator', ')');
    return parameters;
  }

  #name(): string {
    const { value } = this.#stream.expect('name');
    if (isConstant(value)) this.#stream.fail(`cannot assign to '${value}'`);
    return value;
  }

  /** What is assigned to: one name or, where `isTuple`, several with commas between. */
  #target(isTuple: boolean, withNamespace: boolean, isEnd = (): boolean => false): Target {
    const items: Target[] = [];
    let hasComma = false;
    for (;;) {
      const { type, value } = this.#stream.current;
      if (isEnd() || type === 'block end' || value === '=' || value === ')') break;
      items.push(this.#stream.nested(() => this.#simpleTarget(withNamespace)));
      if (!isTuple || !this.#stream.skip('operator', ',')) break;
      hasComma = true;
    }
    if (items[0] === undefined) this.#stream.fail(`expected a name to assign to, got ${this.#stream.shown()}`);
    return hasComma ? { kind: 'tuple', items } : items[0];
  }

  #simpleTarget(withNamespace: boolean): Target {
    if (this.#stream.skip('operator', '(')) {
      const inner = this.#target(true, withNamespace);
      this.#stream.expect('operator', ')');
      return inner;
    }
    if (!withNamespace || !matches(this.#stream.following, 'operator', '.'))
      return { kind: 'name', name: this.#name() };
    const owner = this.#name();
    this.#stream.advance();
    return { kind: 'namespace', owner, name: this.#stream.expect('name').value };
  }
}

function isConstant(name: string): boolean {
  return ['true', 'True', 'false', 'False', 'none', 'None'].includes(name);
}
