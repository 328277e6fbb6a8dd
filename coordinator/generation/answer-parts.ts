import type { ReasoningForm } from '../model/reasoning-marks.ts';
import type { AnswerSplit, SplitText } from './answer-split.ts';
import { ChannelSplit } from './channel-split.ts';
import { EnclosedSplit } from './enclosed-split.ts';

/** How a model reasons, and whether the prompt ends within its reasoning. */
export interface Reasoning {
  readonly form: ReasoningForm;
  readonly opened: boolean;
}

interface PendingToken {
  /** The token, where it is a mark. */
  readonly mark: number | null;
  /** Characters of its text that are not certain yet. */
  left: number;
}

/**
 * Takes a text apart into reasoning and answer. Text becomes certain later than the token that it is of is drawn, as stop sequences
 * hold it back: which token it is of is remembered until then, as some tokens are marks.
 */
export class AnswerParts {
  readonly #split: AnswerSplit;
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #pending: PendingToken[] = [];
  /** The certain part of a mark's text, of which the rest is not certain. */
  #partOfMark = '';
  #reasoningTokens = 0;
  /** Tokens of which it is not clear what they belong to: marks, headers, whitespace. */
  #undecided = 0;

  constructor({ form, opened }: Reasoning) {
    this.#split = form.kind === 'channels' ? new ChannelSplit(form.marks, opened) : new EnclosedSplit(form, opened);
    this.#tokens = form.tokens;
  }

  /** Tokens of the reasoning, its marks included. */
  get reasoningTokens(): number {
    return this.#reasoningTokens;
  }

  /** @param piece the text of the next token, which is given again when it is certain */
  draw(token: number, piece: string): void {
    const mark = this.#tokens.get(token);
    const isMark = mark !== undefined && piece.endsWith(mark);
    this.#pending.push({ mark: isMark ? token : null, left: piece.length });
  }

  /** Text that is certain, in order. */
  take(text: string): SplitText {
    const taken = { reasoning: '', text: '' };
    let at = 0;
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      const piece = text.slice(at, at + next.left);
      at += piece.length;
      next.left -= piece.length;
      if (next.left > 0) {
        if (next.mark === null) add(taken, this.#push(piece, null));
        else this.#partOfMark += piece;
        break;
      }
      this.#pending.shift();
      this.#undecided++;
      const whole = this.#partOfMark + piece;
      this.#partOfMark = '';
      const mark = next.mark === null ? '' : (this.#tokens.get(next.mark) ?? '');
      // What a token before it left unfinished comes with a mark.
      const before = whole.slice(0, whole.length - mark.length);
      if (before !== '') add(taken, this.#push(before, null));
      if (next.mark !== null) add(taken, this.#push(mark, next.mark));
    }
    if (at < text.length) add(taken, this.#push(text.slice(at), null));
    return taken;
  }

  /** The last text, and what was held back. */
  end(text: string): SplitText {
    const taken = { ...this.take(text) };
    add(taken, this.#push(this.#partOfMark, null));
    add(taken, this.#split.flush());
    if (this.#split.part === 'reasoning') this.#reasoningTokens += this.#undecided + this.#pending.length;
    return taken;
  }

  #push(piece: string, mark: number | null): SplitText {
    const before = this.#split.part;
    const taken = this.#split.push(piece, mark);
    const { part } = this.#split;
    if (before === 'reasoning' || part === 'reasoning') this.#reasoningTokens += this.#undecided;
    if (before === 'reasoning' || part !== null) this.#undecided = 0;
    return taken;
  }
}

function add(to: { reasoning: string; text: string }, { reasoning, text }: SplitText): void {
  to.reasoning += reasoning;
  to.text += text;
}
