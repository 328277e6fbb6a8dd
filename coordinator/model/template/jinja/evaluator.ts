import { callable, getAttribute, getItem, slice } from './access.ts';
import { TemplateError } from './errors.ts';
import { FILTERS } from './filters.ts';
import { numeric } from './numbers.ts';
import { arithmetic, compare, itemsOf } from './operators.ts';
import { str } from './repr.ts';
import type { Runtime } from './runtime.ts';
import type { Scope } from './scope.ts';
import type { Arguments, Expression } from './syntax-tree.ts';
import { TESTS } from './tests.ts';
import { isStr, joinAll, raw, withoutMarkup } from './text.ts';
import { type Call, Dict, orElse, Tuple, truthy, typeName, Undefined, type Value } from './values.ts';

export function hasFilter(name: string): boolean {
  return Object.hasOwn(FILTERS, name);
}

export function hasTest(name: string): boolean {
  return Object.hasOwn(TESTS, name) || name === 'filter' || name === 'test';
}

const RUNTIME: Runtime = { filter: applyFilter, test: applyTest };

function applyFilter(name: string, subject: Value, call: Call): Value {
  const filter = hasFilter(name) ? FILTERS[name] : undefined;
  if (filter === undefined) throw new TemplateError(`No filter named '${name}'`);
  return filter(subject, call, RUNTIME);
}

function applyTest(name: string, subject: Value, call: Call): boolean {
  if (name === 'filter') return isName(subject, hasFilter);
  if (name === 'test') return isName(subject, hasTest);
  const test = hasTest(name) ? TESTS[name] : undefined;
  if (test === undefined) throw new TemplateError(`No test named '${name}'`);
  return test(subject, call, RUNTIME);
}

function isName(subject: Value, has: (name: string) => boolean): boolean {
  return isStr(subject) ? has(raw(subject)) : new Dict().has(subject);
}

/** The value of an expression. */
export function evaluate(node: Expression, scope: Scope): Value {
  switch (node.kind) {
    case 'constant':
      return node.value;
    case 'name':
      return orElse(scope.get(node.name), () => missingVariable(node.name));
    case 'list':
      return node.items.map((item) => evaluate(item, scope));
    case 'tuple':
      return new Tuple(node.items.map((item) => evaluate(item, scope)));
    case 'dict':
      return new Dict(node.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)] as const));
    case 'attribute':
      return getAttribute(evaluate(node.owner, scope), node.name);
    case 'item':
      return getItem(evaluate(node.owner, scope), evaluate(node.key, scope));
    case 'slice': {
      const bound = (part: Expression | null): Value => (part === null ? null : evaluate(part, scope));
      return slice(evaluate(node.owner, scope), bound(node.start), bound(node.stop), bound(node.step));
    }
    case 'call':
      return evaluateCall(node, scope);
    case 'filter':
      if (node.subject === null) throw new TemplateError(`nothing is given to the filter '${node.name}'`);
      return applyFilter(node.name, evaluate(node.subject, scope), evaluateArguments(node.args, scope));
    case 'test':
      return applyTest(node.name, evaluate(node.subject, scope), evaluateArguments(node.args, scope));
    case 'not':
      return !truthy(evaluate(node.operand, scope));
    case 'negative':
    case 'positive':
      return sign(node.kind, evaluate(node.operand, scope));
    case 'and': {
      const left = evaluate(node.left, scope);
      return truthy(left) ? evaluate(node.right, scope) : left;
    }
    case 'or': {
      const left = evaluate(node.left, scope);
      return truthy(left) ? left : evaluate(node.right, scope);
    }
    case 'arithmetic':
      return arithmetic(node.operator, evaluate(node.left, scope), evaluate(node.right, scope));
    case 'concatenation':
      return joinAll(node.parts.map((part) => withoutMarkup(str(evaluate(part, scope)))));
    case 'comparison':
      return evaluateComparison(node, scope);
    case 'condition':
      if (truthy(evaluate(node.test, scope))) return evaluate(node.then, scope);
      return node.otherwise === null
        ? new Undefined('the inline if-expression evaluated to false and no else section was defined.')
        : evaluate(node.otherwise, scope);
  }
}

/** Variables that Jinja itself provides and that no prompt needs. */
const UNAVAILABLE = new Set(['self', 'lipsum']);

function missingVariable(name: string): Undefined {
  if (UNAVAILABLE.has(name)) throw new TemplateError(`'${name}' is not supported in chat templates`);
  return Undefined.variable(name);
}

/** A filter block's or set block's filters on what the block made. */
export function evaluateFilters(node: Expression, content: Value, scope: Scope): Value {
  if (node.kind !== 'filter') return evaluate(node, scope);
  const subject = node.subject === null ? content : evaluateFilters(node.subject, content, scope);
  return applyFilter(node.name, subject, evaluateArguments(node.args, scope));
}

/** @param caller what `caller` is within the macro that is called, for call blocks */
export function evaluateCall(node: Expression & { kind: 'call' }, scope: Scope, caller: Value | null = null): Value {
  const callee = evaluate(node.callee, scope);
  const call = evaluateArguments(node.args, scope);
  const named = caller === null ? call.named : new Map([...call.named, ['caller', caller]]);
  return callable(callee).call({ positional: call.positional, named });
}

function evaluateArguments(args: Arguments, scope: Scope): Call {
  const positional = args.positional.map((item) => evaluate(item, scope));
  const named = new Map(args.named.map(([name, value]) => [name, evaluate(value, scope)] as const));
  if (args.starred !== null) positional.push(...itemsOf(evaluate(args.starred, scope)));
  if (args.doubleStarred !== null) {
    const more = evaluate(args.doubleStarred, scope);
    if (!(more instanceof Dict)) {
      if (more instanceof Undefined) more.fail();
      throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
    }
    for (const [name, value] of more.entries()) {
      if (!isStr(name)) throw new TemplateError('keywords must be strings');
      if (named.has(raw(name))) throw new TemplateError(`got multiple values for keyword argument '${raw(name)}'`);
      named.set(raw(name), value);
    }
  }
  return { positional, named };
}

function evaluateComparison({ first, rest }: Expression & { kind: 'comparison' }, scope: Scope): boolean {
  let left = evaluate(first, scope);
  for (const [operator, expression] of rest) {
    const right = evaluate(expression, scope);
    if (!compare(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function sign(kind: 'negative' | 'positive', operand: Value): Value {
  const number = numeric(operand);
  if (number === null) {
    if (operand instanceof Undefined) operand.fail();
    throw new TemplateError(`bad operand type for unary ${kind === 'negative' ? '-' : '+'}: '${typeName(operand)}'`);
  }
  return kind === 'negative' ? -number : number;
}
