import type { SplitText } from '../generation/answer-split.ts';

const DIM = '\x1b[2m';
const NOT_DIM = '\x1b[22m';

/**
 * Prints an answer as it comes: on a terminal with the reasoning before it, dimmed; elsewhere, as in a pipe, the answer
 * alone.
 */
export class AnswerPrinter {
  readonly #write: (text: string) => void;
  readonly #isTerminal: boolean;
  #isAfterReasoning = false;

  constructor(write: (text: string) => void, isTerminal: boolean) {
    this.#write = write;
    this.#isTerminal = isTerminal;
  }

  print({ reasoning, text }: SplitText): void {
    if (reasoning !== '' && this.#isTerminal) {
      // Each piece by itself: a terminal is left as it was wherever the answer is broken off.
      this.#write(`${DIM}${reasoning}${NOT_DIM}`);
      this.#isAfterReasoning = true;
    }
    if (text === '') return;
    this.#write(this.#isAfterReasoning ? `\n\n${text}` : text);
    this.#isAfterReasoning = false;
  }
}
