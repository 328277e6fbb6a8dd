import type { SplitText } from './answer-split.ts';
import type { AnswerEvent } from './tool-calls/call-events.ts';

/** A piece of an answer, as clients are told it. */
export type AnswerPiece = { readonly type: 'reasoning'; readonly text: string } | AnswerEvent;

/** The pieces of what was split, in the order in which they were written: none while all of its text is held back. */
export function answerPieces({ reasoning, text, calls = [] }: SplitText): AnswerPiece[] {
  return [
    ...(reasoning === '' ? [] : [{ type: 'reasoning', text: reasoning } as const]),
    ...(text === '' ? [] : [{ type: 'text', text } as const]),
    ...calls,
  ];
}
