import { bindPositional } from './arguments.ts';
import { TemplateError } from './errors.ts';
import { equal } from './operators.ts';
import type { Str } from './text.ts';
import { Callable, Undefined, type Value } from './values.ts';

/** The variable `loop` within a for; called, it renders the body of a recursive one again. */
export class Loop extends Callable {
  override readonly typeName = 'LoopContext';
  readonly #items: readonly Value[];
  readonly #depth: number;
  #index = -1;
  #lastChanged: readonly Value[] | null = null;

  /** @param again renders the loop's body for other items; null unless the loop is recursive */
  constructor(items: readonly Value[], depth: number, again: ((items: Value, depth: number) => Value) | null) {
    super('loop', (call) => {
      if (again === null)
        throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.");
      return again(bindPositional('loop', call, 1, 1)[0] as Value, depth + 1);
    });
    this.#items = items;
    this.#depth = depth;
  }

  /** Goes on to the next item. */
  advance(): void {
    this.#index++;
  }

  override attribute(name: string): Value | undefined {
    const index = this.#index;
    const length = this.#items.length;
    switch (name) {
      case 'index':
        return BigInt(index + 1);
      case 'index0':
        return BigInt(index);
      case 'revindex':
        return BigInt(length - index);
      case 'revindex0':
        return BigInt(length - index - 1);
      case 'first':
        return index === 0;
      case 'last':
        return index === length - 1;
      case 'length':
        return BigInt(length);
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return index > 0 ? (this.#items[index - 1] as Value) : new Undefined('there is no previous item');
      case 'nextitem':
        return index < length - 1 ? (this.#items[index + 1] as Value) : new Undefined('there is no next item');
      case 'cycle':
        return new Callable(name, ({ positional }) => {
          if (positional.length === 0) throw new TemplateError('no items for cycling given');
          return positional[index % positional.length] as Value;
        });
      case 'changed':
        return new Callable(name, ({ positional }) => {
          const last = this.#lastChanged;
          this.#lastChanged = positional;
          return last === null || !equal([...last], [...positional]);
        });
      default:
        return undefined;
    }
  }

  override repr(): Str {
    return `<LoopContext ${this.#index + 1}/${this.#items.length}>`;
  }
}
