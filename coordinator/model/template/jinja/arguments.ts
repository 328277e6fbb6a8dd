import { TemplateError } from './errors.ts';
import { integer } from './numbers.ts';
import { isStr, type Str } from './text.ts';
import { type Call, typeName, type Value } from './values.ts';

/**
 * The arguments of a call by the callee's parameters.
 * @param required how many of the parameters have no default
 * @throws TemplateError as Python does for arguments too many, missing, unknown or given twice
 */
export function bind(callee: string, call: Call, parameters: readonly string[], required = 0): (Value | undefined)[] {
  if (call.positional.length > parameters.length) {
    throw new TemplateError(
      `${callee}() takes at most ${parameters.length} arguments (${call.positional.length} given)`,
    );
  }
  const bound: (Value | undefined)[] = parameters.map((_, index) => call.positional[index]);
  for (const [name, value] of call.named) {
    const index = parameters.indexOf(name);
    if (index < 0) throw new TemplateError(`${callee}() got an unexpected keyword argument '${name}'`);
    if (bound[index] !== undefined) throw new TemplateError(`${callee}() got multiple values for argument '${name}'`);
    bound[index] = value;
  }
  for (let index = 0; index < required; index++) {
    if (bound[index] === undefined) {
      throw new TemplateError(`${callee}() missing required argument: '${parameters[index]}'`);
    }
  }
  return bound;
}

/** Arguments that can only be given by place. */
export function bindPositional(callee: string, call: Call, least: number, most: number): (Value | undefined)[] {
  if (call.named.size > 0) throw new TemplateError(`${callee}() takes no keyword arguments`);
  const count = call.positional.length;
  if (count < least || count > most) {
    const expected = least === most ? `${least}` : `${least} to ${most}`;
    throw new TemplateError(`${callee}() takes ${expected} arguments (${count} given)`);
  }
  return [...call.positional];
}

export function textArgument(callee: string, value: Value | undefined): Str {
  if (value !== undefined && isStr(value)) return value;
  throw new TemplateError(`${callee}() argument must be str, not ${typeName(value ?? null)}`);
}

export function countArgument(callee: string, value: Value | undefined, otherwise: bigint): bigint {
  return value === undefined ? otherwise : integer(value, `${callee}()`);
}
