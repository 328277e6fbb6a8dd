import type { SplitText } from './answer-split.ts';

/** A piece of a call that the model makes: it begins, its arguments come as JSON text, it is over. Calls are numbered from 0. */
export type CallPiece =
  | { readonly type: 'call'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly type: 'arguments'; readonly index: number; readonly text: string }
  | { readonly type: 'call_end'; readonly index: number };

/** A piece of an answer, as clients are told it. */
export type AnswerPiece =
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'text'; readonly text: string }
  | CallPiece;

/** What a token, or the end, adds to an answer. */
export interface Addition extends SplitText {
  readonly calls?: readonly CallPiece[];
}

/** The pieces of an addition in the order in which they were written: none while all of its text is held back. */
export function answerPieces({ reasoning, text, calls = [] }: Addition): AnswerPiece[] {
  return [
    ...(reasoning === '' ? [] : [{ type: 'reasoning', text: reasoning } as const]),
    ...(text === '' ? [] : [{ type: 'text', text } as const]),
    ...calls,
  ];
}
