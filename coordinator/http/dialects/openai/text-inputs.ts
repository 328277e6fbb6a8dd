import { z } from 'zod';

/** A text, or the ids of its tokens. */
export type TextInput = string | readonly number[];

const tokenIds = z.array(z.int().min(0)).min(1);

/** One or several texts, as text or token ids. @param most how many */
export const textInputs = (most: number) => {
  const error = `expected a text, token ids, or a list of up to ${most} of either`;
  return z
    .union([z.string(), tokenIds, z.array(z.string()).min(1), z.array(tokenIds).min(1)], { error })
    .refine((inputs) => inputList(inputs).length <= most, error);
};

/** Each of them. */
export function inputList(inputs: string | number[] | string[] | number[][]): readonly TextInput[] {
  if (typeof inputs === 'string') return [inputs];
  return typeof inputs[0] === 'number' ? [inputs as number[]] : (inputs as TextInput[]);
}
