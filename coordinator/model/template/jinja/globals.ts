import { strftime } from '../strftime.ts';
import { bind, bindPositional } from './arguments.ts';
import { RaisedException, TemplateError } from './errors.ts';
import { integer } from './numbers.ts';
import { itemsOf, iterate } from './operators.ts';
import { repr, str } from './repr.ts';
import { concat, isStr, raw, type Str, typedText } from './text.ts';
import {
  type Call,
  Callable,
  Dict,
  Namespace,
  PythonObject,
  Range,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** namespace() whose values can be set. */
class PrintableNamespace extends Namespace {
  override repr(): Str {
    return concat('<Namespace ', repr(new Dict(this.values)), '>');
  }
}

/** cycler(): gives its items in turn. */
class Cycler extends PythonObject {
  readonly typeName = 'Cycler';
  readonly #items: readonly Value[];
  #next = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateError('at least one item has to be provided');
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    if (name === 'current') return this.#items[this.#next] as Value;
    if (name === 'pos') return BigInt(this.#next);
    if (name === 'items') return [...this.#items];
    if (name !== 'next' && name !== 'reset') return undefined;
    return new Callable(name, (call) => {
      bindPositional(name, call, 0, 0);
      const current = this.#items[this.#next] as Value;
      this.#next = name === 'next' ? (this.#next + 1) % this.#items.length : 0;
      return name === 'next' ? current : null;
    });
  }
}

function joiner(call: Call): Value {
  const [separator = ', '] = bind('joiner', call, ['sep']);
  let isUsed = false;
  return new Callable('joiner', () => {
    if (isUsed) return separator;
    isUsed = true;
    return '';
  });
}

/** Python's dict(). */
function dict(call: Call): Dict {
  const [source] = bindPositional('dict', { positional: call.positional, named: new Map() }, 0, 1);
  const result = new Dict(source instanceof Dict ? source.entries() : source === undefined ? [] : pairs(source));
  for (const [name, value] of call.named) result.set(name, value);
  return result;
}

function* pairs(source: Value): Generator<readonly [Value, Value]> {
  for (const item of iterate(source)) {
    const pair = itemsOf(item);
    if (pair.length !== 2) throw new TemplateError(`dictionary update sequence has an item of length ${pair.length}`);
    yield [pair[0] as Value, pair[1] as Value];
  }
}

function namespace(call: Call): Namespace {
  const result = new PrintableNamespace();
  for (const [name, value] of dict(call).entries()) {
    if (isStr(name)) result.values.set(raw(name), value);
  }
  return result;
}

function range(call: Call): Range {
  const [first, second, step] = bindPositional('range', call, 1, 3).map((value) => integer(value as Value, 'range()'));
  const stop = second ?? (first as bigint);
  return new Range(second === undefined ? 0n : (first as bigint), stop, step ?? 1n);
}

/**
 * The functions that every chat template can call.
 * @param now the moment that strftime_now() tells, in local time
 */
export function globals(now: Date): Map<string, Value> {
  const functions: Record<string, (call: Call) => Value> = {
    range,
    dict,
    namespace,
    joiner,
    cycler: (call) => new Cycler(bindPositional('cycler', call, 0, Number.MAX_SAFE_INTEGER) as Value[]),
    raise_exception: (call) => {
      const [message] = bindPositional('raise_exception', call, 1, 1);
      throw new RaisedException(raw(str(message as Value)));
    },
    strftime_now: (call) => {
      const [format] = bindPositional('strftime_now', call, 1, 1);
      if (format === undefined || !isStr(format)) {
        if (format instanceof Undefined) format.fail();
        throw new TemplateError(`strftime_now() argument must be str, not ${typeName(format ?? null)}`);
      }
      return typeof format === 'string' ? strftime(now, format) : typedText(strftime(now, raw(format)));
    },
  };
  return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]));
}
