import type { Call, Value } from './values.ts';

/** What filters such as map and select call by name. */
export interface Runtime {
  /** @throws TemplateError when there is no such filter, or test */
  filter(name: string, subject: Value, call: Call): Value;
  test(name: string, subject: Value, call: Call): boolean;
}

export type Filter = (subject: Value, call: Call, runtime: Runtime) => Value;
export type Test = (subject: Value, call: Call, runtime: Runtime) => boolean;

export const NO_CALL: Call = { positional: [], named: new Map() };
