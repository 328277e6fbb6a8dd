import type { Arithmetic } from './numbers.ts';
import type { Comparison } from './operators.ts';
import type { Arguments, Expression } from './syntax-tree.ts';
import { matches, type TokenStream } from './token-stream.ts';

/** The names that a template may use; what is not among them is refused when the template is read. */
export interface KnownNames {
  hasFilter(name: string): boolean;
  hasTest(name: string): boolean;
}

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
const COMPARISONS = new Set(['==', '!=', '<', '<=', '>', '>=']);
const NO_ARGUMENTS: Arguments = { positional: [], named: [], starred: null, doubleStarred: null };

/** Expressions, with the precedence of Jinja: filters and tests bind closest, then signs, **, * and so on. */
export class ExpressionParser {
  readonly #stream: TokenStream;
  readonly #known: KnownNames;
  /** Called with each variable that is read. */
  readonly #onRead: (name: string) => void;
  /** Within branches that may not be taken, unknown filters and tests are refused only when they are reached. */
  branches = 0;

  constructor(stream: TokenStream, known: KnownNames, onRead: (name: string) => void) {
    this.#stream = stream;
    this.#known = known;
    this.#onRead = onRead;
  }

  /** @param withCondition whether `… if … else …` may stand here */
  expression(withCondition = true): Expression {
    return this.#stream.nested(() => (withCondition ? this.#condition() : this.#or()));
  }

  /** One expression, or several with commas between, which make a tuple. */
  tuple(withCondition = true, isEnd: () => boolean = () => false, isParenthesised = false): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#endsTuple() && !isEnd()) {
      items.push(this.expression(withCondition));
      if (!this.#stream.skip('operator', ',')) break;
      isTuple = true;
    }
    if (isTuple) return { kind: 'tuple', items };
    if (items[0] !== undefined) return items[0];
    if (!isParenthesised) this.#stream.fail(`Expected an expression, got ${this.#stream.shown()}`);
    return { kind: 'tuple', items };
  }

  #endsTuple(): boolean {
    const { type, value } = this.#stream.current;
    return type === 'print end' || type === 'block end' || (type === 'operator' && value === ')');
  }

  #condition(): Expression {
    let then = this.#or();
    while (this.#stream.skip('name', 'if')) {
      this.branches++;
      const test = this.#or();
      const otherwise = this.#stream.skip('name', 'else') ? this.#stream.nested(() => this.#condition()) : null;
      this.branches--;
      then = { kind: 'condition', test, then, otherwise };
    }
    return then;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#stream.skip('name', 'or')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#stream.skip('name', 'and')) left = { kind: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.#stream.skip('name', 'not')) return this.#comparison();
    return { kind: 'not', operand: this.#stream.nested(() => this.#not()) };
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: (readonly [Comparison, Expression])[] = [];
    for (let operator = this.#comparisonOperator(); operator !== null; operator = this.#comparisonOperator()) {
      rest.push([operator, this.#sum()]);
    }
    return rest.length === 0 ? first : { kind: 'comparison', first, rest };
  }

  #comparisonOperator(): Comparison | null {
    const { type, value } = this.#stream.current;
    if (type === 'operator' && COMPARISONS.has(value)) return this.#stream.advance().value as Comparison;
    if (this.#stream.skip('name', 'in')) return 'in';
    if (!this.#stream.is('name', 'not') || !matches(this.#stream.following, 'name', 'in')) return null;
    this.#stream.advance();
    this.#stream.advance();
    return 'not in';
  }

  #sum(): Expression {
    return this.#leftToRight(['+', '-'], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const parts = [this.#product()];
    while (this.#stream.skip('operator', '~')) parts.push(this.#product());
    return parts.length === 1 ? (parts[0] as Expression) : { kind: 'concatenation', parts };
  }

  #product(): Expression {
    return this.#leftToRight(['*', '/', '//', '%'], () => this.#power());
  }

  #power(): Expression {
    return this.#leftToRight(['**'], () => this.#unary());
  }

  #leftToRight(operators: readonly Arithmetic[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const { type, value } = this.#stream.current;
      const operator = type === 'operator' ? operators.find((known) => known === value) : undefined;
      if (operator === undefined) return left;
      this.#stream.advance();
      left = { kind: 'arithmetic', operator, left, right: operand() };
    }
  }

  #unary(withFilters = true): Expression {
    let node: Expression;
    if (this.#stream.skip('operator', '-')) {
      node = { kind: 'negative', operand: this.#stream.nested(() => this.#unary(false)) };
    } else if (this.#stream.skip('operator', '+')) {
      node = { kind: 'positive', operand: this.#stream.nested(() => this.#unary(false)) };
    } else {
      node = this.primary();
    }
    node = this.#postfix(node);
    return withFilters ? this.#filtersAndTests(node) : node;
  }

  /** A literal, a variable, or something in brackets. */
  primary(): Expression {
    const { type, value } = this.#stream.current;
    if (type === 'name') {
      this.#stream.advance();
      const constant = Object.hasOwn(CONSTANTS, value) ? CONSTANTS[value] : undefined;
      if (constant !== undefined) return { kind: 'constant', value: constant };
      this.#onRead(value);
      return { kind: 'name', name: value };
    }
    if (type === 'string') {
      let text = '';
      while (this.#stream.is('string')) text += this.#stream.advance().value;
      return { kind: 'constant', value: text };
    }
    if (type === 'integer') {
      this.#stream.advance();
      return {
        kind: 'constant',
        value: BigInt(
          value
            .replaceAll('_', '')
            .toLowerCase()
            .replace(/^0+(?=\d)/, ''),
        ),
      };
    }
    if (type === 'float') {
      this.#stream.advance();
      return { kind: 'constant', value: Number(value.replaceAll('_', '')) };
    }
    if (this.#stream.skip('operator', '(')) {
      const inner = this.tuple(true, undefined, true);
      this.#stream.expect('operator', ')');
      return inner;
    }
    if (this.#stream.skip('operator', '[')) return { kind: 'list', items: this.#items(']') };
    if (this.#stream.skip('operator', '{')) return this.#dict();
    return this.#stream.fail(`unexpected ${this.#stream.shown()}`);
  }

  #items(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.#stream.is('operator', close)) {
      if (items.length > 0) this.#stream.expect('operator', ',');
      if (this.#stream.is('operator', close)) break;
      items.push(this.expression());
    }
    this.#stream.expect('operator', close);
    return items;
  }

  #dict(): Expression {
    const entries: (readonly [Expression, Expression])[] = [];
    while (!this.#stream.is('operator', '}')) {
      if (entries.length > 0) this.#stream.expect('operator', ',');
      if (this.#stream.is('operator', '}')) break;
      const key = this.expression();
      this.#stream.expect('operator', ':');
      entries.push([key, this.expression()]);
    }
    this.#stream.expect('operator', '}');
    return { kind: 'dict', entries };
  }

  #postfix(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.#stream.skip('operator', '.')) node = this.#member(node);
      else if (this.#stream.skip('operator', '[')) node = this.#subscript(node);
      else if (this.#stream.is('operator', '(')) node = { kind: 'call', callee: node, args: this.callArguments() };
      else return node;
    }
  }

  #member(owner: Expression): Expression {
    const { type, value } = this.#stream.advance();
    if (type === 'name') return { kind: 'attribute', owner, name: value };
    if (type !== 'integer') this.#stream.fail('expected name or number');
    return { kind: 'item', owner, key: { kind: 'constant', value: BigInt(value) } };
  }

  #subscript(owner: Expression): Expression {
    const parts: Expression[] = [];
    do {
      if (this.#stream.is('operator', ']') && parts.length > 0) break;
      const part = this.#slice(owner);
      if (part.kind === 'slice') {
        if (parts.length > 0 || !this.#stream.is('operator', ']')) {
          this.#stream.fail('slices of several dimensions are not supported here');
        }
        this.#stream.advance();
        return part;
      }
      parts.push(part);
    } while (this.#stream.skip('operator', ','));
    this.#stream.expect('operator', ']');
    const key: Expression = parts.length === 1 ? (parts[0] as Expression) : { kind: 'tuple', items: parts };
    return { kind: 'item', owner, key };
  }

  #slice(owner: Expression): Expression {
    const bounds: (Expression | null)[] = [null, null, null];
    let colons = 0;
    for (;;) {
      if (this.#stream.is('operator', ':')) {
        if (++colons > 2) break;
        this.#stream.advance();
      } else if (this.#stream.is('operator', ']') || this.#stream.is('operator', ',')) {
        break;
      } else {
        bounds[colons] = this.expression();
        if (colons === 0 && !this.#stream.is('operator', ':')) return bounds[0] as Expression;
        if (colons === 2) break;
        if (!this.#stream.is('operator', ':')) break;
      }
    }
    if (colons === 0) this.#stream.fail('expected subscript expression');
    const [start = null, stop = null, step = null] = bounds;
    return { kind: 'slice', owner, start, stop, step };
  }

  /** From the opening parenthesis to the closing one. */
  callArguments(): Arguments {
    this.#stream.expect('operator', '(');
    const positional: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    let starred: Expression | null = null;
    let doubleStarred: Expression | null = null;
    let needsComma = false;
    while (!this.#stream.is('operator', ')')) {
      if (needsComma) {
        this.#stream.expect('operator', ',');
        if (this.#stream.is('operator', ')')) break;
      }
      needsComma = true;
      if (this.#stream.skip('operator', '*')) {
        if (starred !== null || doubleStarred !== null)
          this.#stream.fail('invalid syntax for function call expression');
        starred = this.expression();
      } else if (this.#stream.skip('operator', '**')) {
        if (doubleStarred !== null) this.#stream.fail('invalid syntax for function call expression');
        doubleStarred = this.expression();
      } else if (this.#stream.is('name') && matches(this.#stream.following, 'operator', '=')) {
        if (doubleStarred !== null) this.#stream.fail('invalid syntax for function call expression');
        const name = this.#stream.advance().value;
        this.#stream.advance();
        if (named.some(([other]) => other === name)) this.#stream.fail(`keyword argument repeated: ${name}`);
        named.push([name, this.expression()]);
      } else {
        if (starred !== null || doubleStarred !== null || named.length > 0) {
          this.#stream.fail('invalid syntax for function call expression');
        }
        positional.push(this.expression());
      }
    }
    this.#stream.expect('operator', ')');
    return { positional, named, starred, doubleStarred };
  }

  #filtersAndTests(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.#stream.skip('operator', '|')) node = this.#filter(node);
      else if (this.#stream.skip('name', 'is')) node = this.#test(node);
      else if (this.#stream.is('operator', '(')) node = { kind: 'call', callee: node, args: this.callArguments() };
      else return node;
    }
  }

  /** The filters of a filter block, after its keyword, or those of a set block, which begin with a bar. */
  filters(): Expression | null {
    let node: Expression | null = this.#stream.is('name') ? this.#filter(null) : null;
    while (this.#stream.skip('operator', '|')) node = this.#filter(node);
    return node;
  }

  #filter(subject: Expression | null): Expression {
    const name = this.#dottedName();
    if (this.branches === 0 && !this.#known.hasFilter(name)) this.#stream.fail(`No filter named '${name}'`);
    const args = this.#stream.is('operator', '(') ? this.callArguments() : NO_ARGUMENTS;
    return { kind: 'filter', subject, name, args };
  }

  #test(subject: Expression): Expression {
    const isNegated = this.#stream.skip('name', 'not');
    const name = this.#dottedName();
    if (this.branches === 0 && !this.#known.hasTest(name)) this.#stream.fail(`No test named '${name}'`);
    const test: Expression = { kind: 'test', subject, name, args: this.#testArguments() };
    return isNegated ? { kind: 'not', operand: test } : test;
  }

  #testArguments(): Arguments {
    const { type, value } = this.#stream.current;
    if (type === 'operator' && value === '(') return this.callArguments();
    const isOperand = type === 'string' || type === 'integer' || type === 'float' || value === '[' || value === '{';
    const isName = type === 'name' && value !== 'else' && value !== 'or' && value !== 'and';
    if (!isName && !(isOperand && type !== 'name')) return NO_ARGUMENTS;
    if (isName && value === 'is') this.#stream.fail('You cannot chain multiple tests with is');
    return { ...NO_ARGUMENTS, positional: [this.#stream.nested(() => this.#postfix(this.primary()))] };
  }

  #dottedName(): string {
    let name = this.#stream.expect('name').value;
    while (this.#stream.skip('operator', '.')) name += `.${this.#stream.expect('name').value}`;
    return name;
  }
}
