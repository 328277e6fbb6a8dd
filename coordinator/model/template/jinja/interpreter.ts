import { TemplateError } from './errors.ts';
import { evaluate, evaluateCall, evaluateFilters } from './evaluator.ts';
import { Loop } from './loop.ts';
import { itemsOf } from './operators.ts';
import { str } from './repr.ts';
import { Scope } from './scope.ts';
import type { MacroBody, Statement, Target } from './syntax-tree.ts';
import { checkLength, isStr, joinAll, raw, type Str } from './text.ts';
import { Callable, Dict, Namespace, orElse, Tuple, truthy, typeName, Undefined, type Value } from './values.ts';

/** Macros and recursive loops that call themselves. */
const MAX_CALLS = 200;

type Ending = 'end' | 'break' | 'continue';

/** The text that statements make. */
class Output {
  readonly #parts: Str[] = [];
  #length = 0;

  add(text: Str): void {
    this.#length += raw(text).length;
    checkLength(this.#length);
    this.#parts.push(text);
  }

  text(): Str {
    return joinAll(this.#parts);
  }
}

/** Runs the statements of one rendering. */
export class Interpreter {
  /** The line that runs, for messages. */
  line = 1;
  #calls = 0;

  /** The text of a template. */
  render(statements: readonly Statement[], scope: Scope): Str {
    const output = new Output();
    this.#run(statements, scope, output);
    return output.text();
  }

  #run(statements: readonly Statement[], scope: Scope, output: Output): Ending {
    for (const statement of statements) {
      this.line = statement.line;
      const ending = this.#step(statement, scope, output);
      if (ending !== 'end') return ending;
    }
    return 'end';
  }

  #step(statement: Statement, scope: Scope, output: Output): Ending {
    switch (statement.kind) {
      case 'text':
        output.add(statement.text);
        return 'end';
      case 'print':
        output.add(str(evaluate(statement.value, scope)));
        return 'end';
      case 'for':
        this.#loop(statement, evaluate(statement.items, scope), 0, scope, output);
        return 'end';
      case 'if': {
        const branch = statement.branches.find(({ test }) => truthy(evaluate(test, scope)));
        return this.#run(branch?.body ?? statement.otherwise, scope, output);
      }
      case 'set':
        assign(statement.target, evaluate(statement.value, scope), scope);
        return 'end';
      case 'set block': {
        const content = this.render(statement.body, new Scope(scope));
        assign(
          statement.target,
          statement.filter === null ? content : evaluateFilters(statement.filter, content, scope),
          scope,
        );
        return 'end';
      }
      case 'macro':
        scope.set(statement.macro.name, this.#macro(statement.macro, scope));
        return 'end';
      case 'call block':
        output.add(
          text(
            evaluateCall(
              statement.call as Parameters<typeof evaluateCall>[0],
              scope,
              this.#macro(statement.caller, scope),
            ),
          ),
        );
        return 'end';
      case 'filter block': {
        const content = this.render(statement.body, new Scope(scope));
        output.add(text(evaluateFilters(statement.filter, content, scope)));
        return 'end';
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of statement.bindings) assign(target, evaluate(value, scope), inner);
        return this.#run(statement.body, inner, output);
      }
      case 'do':
        evaluate(statement.value, scope);
        return 'end';
      case 'generation':
        return this.#run(statement.body, new Scope(scope), output);
      case 'break':
      case 'continue':
        return statement.kind;
    }
  }

  #loop(statement: Statement & { kind: 'for' }, subject: Value, depth: number, scope: Scope, output: Output): void {
    const { target, filter, body } = statement;
    const bound = (item: Value): Scope => {
      const inner = new Scope(scope);
      assign(target, item, inner);
      return inner;
    };
    const all = itemsOf(subject);
    const items = filter === null ? all : all.filter((item) => truthy(evaluate(filter, bound(item))));
    const again = (inner: Value, level: number): Value =>
      this.#nested(() => {
        const own = new Output();
        this.#loop(statement, inner, level, scope, own);
        return own.text();
      });
    const loop = new Loop(items, depth, statement.isRecursive ? again : null);
    let isFinished = false;
    for (const item of items) {
      loop.advance();
      const inner = bound(item);
      inner.set('loop', loop);
      const ending = this.#run(body, inner, output);
      if (ending === 'break') break;
      isFinished ||= ending === 'end';
    }
    if (!isFinished) this.#run(statement.otherwise, new Scope(scope), output);
  }

  #macro({ name, parameters, body, reads }: MacroBody, scope: Scope): Callable {
    return new MacroCallable(
      name,
      parameters.map((parameter) => parameter.name),
      ({ positional, named }) =>
        this.#nested(() => {
          const inner = new Scope(scope);
          const rest = new Map(named);
          parameters.forEach((parameter, index) => {
            const given = positional[index];
            if (given !== undefined && rest.has(parameter.name)) {
              throw new TemplateError(`macro '${name}' got multiple values for argument '${parameter.name}'`);
            }
            const value = given === undefined ? rest.get(parameter.name) : given;
            rest.delete(parameter.name);
            inner.set(
              parameter.name,
              orElse(value, () => this.#missing(parameter, inner)),
            );
          });
          const caller = rest.get('caller');
          if (reads.has('caller')) {
            rest.delete('caller');
            if (!parameters.some((parameter) => parameter.name === 'caller')) {
              inner.set(
                'caller',
                orElse(caller, () => new Undefined('No caller defined')),
              );
            }
          }
          if (reads.has('kwargs')) inner.set('kwargs', new Dict(rest));
          else if (rest.size > 0) {
            throw new TemplateError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
          }
          const extra = positional.slice(parameters.length);
          if (reads.has('varargs')) inner.set('varargs', new Tuple(extra));
          else if (extra.length > 0) {
            throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
          }
          return this.render(body, inner);
        }),
    );
  }

  #missing({ name, otherwise }: MacroBody['parameters'][number], scope: Scope): Value {
    return otherwise === null ? new Undefined(`parameter '${name}' was not provided`) : evaluate(otherwise, scope);
  }

  #nested(run: () => Value): Value {
    if (++this.#calls > MAX_CALLS)
      throw new TemplateError(`macros or loops call themselves more than ${MAX_CALLS} deep`);
    const { line } = this;
    const result = run();
    this.line = line;
    this.#calls--;
    return result;
  }
}

class MacroCallable extends Callable {
  override readonly typeName = 'Macro';
  readonly #parameters: readonly string[];

  constructor(name: string, parameters: readonly string[], call: Callable['call']) {
    super(name, call);
    this.#parameters = parameters;
  }

  override attribute(name: string): Value | undefined {
    if (name === 'name') return this.name;
    return name === 'arguments' ? new Tuple([...this.#parameters]) : undefined;
  }
}

/** What a block made, which the reference takes only as a string. */
function text(value: Value): Str {
  if (isStr(value)) return value;
  throw new TemplateError(`the block makes ${typeName(value)}, not str`);
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === 'name') {
    scope.set(target.name, value);
  } else if (target.kind === 'tuple') {
    const items = itemsOf(value);
    const wanted = target.items.length;
    if (items.length > wanted) throw new TemplateError(`too many values to unpack (expected ${wanted})`);
    if (items.length < wanted) {
      throw new TemplateError(`not enough values to unpack (expected ${wanted}, got ${items.length})`);
    }
    target.items.forEach((part, index) => {
      assign(part, items[index] as Value, scope);
    });
  } else {
    const owner = scope.get(target.owner);
    if (!(owner instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object');
    owner.values.set(target.name, value);
  }
}
