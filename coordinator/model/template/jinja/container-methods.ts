import { bindPositional } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { clamped, integer } from './numbers.ts';
import { equal } from './operators.ts';
import { repr } from './repr.ts';
import { raw } from './text.ts';
import { type Call, Callable, Dict, DictView, orElse, type Value } from './values.ts';

/** Methods that change their owner; the sandbox of the reference refuses them too. */
export const MUTATING_METHODS: Readonly<Record<'dict' | 'list', ReadonlySet<string>>> = {
  dict: new Set(['clear', 'pop', 'popitem', 'setdefault', 'update']),
  list: new Set(['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort']),
};

export function dictMethod(dict: Dict, name: string): Value | undefined {
  switch (name) {
    case 'get':
      return new Callable(name, (call) => {
        const [key, otherwise = null] = bindPositional(name, call, 1, 2);
        return orElse(dict.get(key as Value), () => otherwise);
      });
    case 'keys':
    case 'values':
    case 'items':
      return new Callable(name, (call) => {
        bindPositional(name, call, 0, 0);
        return new DictView(dict, name);
      });
    case 'copy':
      return new Callable(name, (call) => {
        bindPositional(name, call, 0, 0);
        return new Dict(dict.entries());
      });
    default:
      return undefined;
  }
}

export function listMethod(items: readonly Value[], name: string): Value | undefined {
  switch (name) {
    case 'index':
      return new Callable(name, (call) => indexOf(items, call));
    case 'count':
      return new Callable(name, (call) => {
        const [wanted] = bindPositional(name, call, 1, 1);
        return BigInt(items.filter((item) => equal(item, wanted as Value)).length);
      });
    case 'copy':
      return new Callable(name, (call) => {
        bindPositional(name, call, 0, 0);
        return [...items];
      });
    default:
      return undefined;
  }
}

function indexOf(items: readonly Value[], call: Call): Value {
  const [wanted, start = 0n, stop] = bindPositional('index', call, 1, 3);
  const bound = (value: Value) => {
    const index = integer(value, 'index()');
    return clamped(index < 0n ? index + BigInt(items.length) : index, 0, items.length);
  };
  const to = stop === undefined ? items.length : bound(stop);
  for (let at = bound(start); at < to; at++) if (equal(items[at] as Value, wanted as Value)) return BigInt(at);
  throw new TemplateError(`${raw(repr(wanted as Value))} is not in list`);
}
