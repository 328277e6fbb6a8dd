import type { AnswerEvent } from './tool-calls/call-events.ts';

/** A stretch of what a model writes, taken apart, in this order; whitespace at the borders of the parts is left out. */
export interface SplitText {
  readonly reasoning: string;
  /** Of the answer, before anything happens to calls. */
  readonly text: string;
  /** What happens to calls of tools, and the text that comes after; left out where nothing does. */
  readonly calls?: readonly AnswerEvent[];
}

export type AnswerPart = 'reasoning' | 'text';

export const NO_TEXT: SplitText = { reasoning: '', text: '' };

/** Tells a model's reasoning from its answer as they come. Text that may yet turn out to be a mark is held back. */
export interface AnswerSplit {
  /** Where the text has got to; null while that is not clear, as in the header of a channel. */
  readonly part: AnswerPart | null;
  /** @param mark the token that the piece is the text of, where that is one of the model's marks */
  push(piece: string, mark: number | null): SplitText;
  /** What is held back, at the end. */
  flush(): SplitText;
}
