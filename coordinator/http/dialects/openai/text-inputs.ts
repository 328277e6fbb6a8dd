import { z } from 'zod';

/** A text, or the ids of its tokens. */
export type TextInput = string | readonly number[];

type TextInputs = string | number[] | string[] | number[][];

/** Where something is wrong, and what. */
interface Fault {
  readonly path: readonly number[];
  readonly message: string;
}

const isTokenId = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** One or several texts, as text or token ids; nothing is looked at behind what is wrong first. @param most how many */
export const textInputs = (most: number) =>
  z.unknown().transform((value, context): TextInputs => {
    const fault = faultOf(value, most);
    if (fault === null) return value as TextInputs;
    context.addIssue({ code: 'custom', path: [...fault.path], message: fault.message });
    return z.NEVER;
  });

function faultOf(value: unknown, most: number): Fault | null {
  if (typeof value === 'string') return null;
  const whole = { path: [], message: `expected a text, token ids, or a list of up to ${most} of either` };
  if (!Array.isArray(value) || value.length === 0) return whole;
  if (typeof value[0] === 'number') return faultOfIds(value, []);
  if (value.length > most) return whole;
  if (Array.isArray(value[0])) {
    for (let i = 0; i < value.length; i++) {
      const fault = faultOfIds(value[i], [i]);
      if (fault !== null) return fault;
    }
    return null;
  }
  const at = value.findIndex((item) => typeof item !== 'string');
  return at < 0 ? null : { path: [at], message: 'expected a string' };
}

function faultOfIds(value: unknown, path: readonly number[]): Fault | null {
  if (!Array.isArray(value) || value.length === 0) return { path, message: 'expected token ids, at least one' };
  const at = value.findIndex((id) => !isTokenId(id));
  return at < 0 ? null : { path: [...path, at], message: 'expected a token id, a whole number from 0 up' };
}

/** Each of them. */
export function inputList(inputs: TextInputs): readonly TextInput[] {
  if (typeof inputs === 'string') return [inputs];
  return typeof inputs[0] === 'number' ? [inputs as number[]] : (inputs as TextInput[]);
}
