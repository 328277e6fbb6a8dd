import type { Value } from './values.ts';

/** The variables of one part of a template; those around it can be read but not changed. */
export class Scope {
  readonly #variables: Map<string, Value>;
  readonly #outer: Scope | null;

  constructor(outer: Scope | null, variables: Map<string, Value> = new Map()) {
    this.#outer = outer;
    this.#variables = variables;
  }

  get(name: string): Value | undefined {
    const own = this.#variables.get(name);
    return own !== undefined || this.#outer === null ? own : this.#outer.get(name);
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}
