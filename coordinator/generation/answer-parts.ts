import type { ReasoningForm } from '../model/reasoning-marks.ts';
import type { AnswerSplit, SplitText } from './answer-split.ts';
import { ChannelSplit } from './channel-split.ts';
import { EnclosedSplit } from './enclosed-split.ts';
import { type AnswerEvent, type OfferedTools, textAndCalls } from './tool-calls/call-events.ts';
import { CallSplit } from './tool-calls/call-split.ts';
import type { ToolCallForm } from './tool-calls/known-families.ts';

/** How a model reasons, and whether the prompt ends within its reasoning. */
export interface Reasoning {
  readonly form: ReasoningForm;
  readonly opened: boolean;
}

/** How a model calls, and what it may. */
export interface Calling extends OfferedTools {
  readonly form: ToolCallForm;
}

interface PendingToken {
  /** The token, where it is a mark. */
  readonly mark: number | null;
  /** Characters of its text that are not certain yet. */
  left: number;
}

interface Taken {
  reasoning: string;
  text: string;
  calls?: AnswerEvent[];
}

/**
 * Takes a text apart into reasoning, answer and calls of tools. Text becomes certain later than the token that it is of
 * is drawn, as stop sequences hold it back: which token it is of is remembered until then, as some tokens are marks.
 * Those of calls may be control tokens, which have no text.
 */
export class AnswerParts {
  readonly #split: AnswerSplit | null;
  readonly #calls: CallSplit | null;
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #pending: PendingToken[] = [];
  /** The certain part of a mark's text, of which the rest is not certain. */
  #partOfMark = '';
  #reasoningTokens = 0;
  #hasCalls = false;
  /** Tokens of which it is not clear what they belong to: marks, headers, whitespace. */
  #undecided = 0;

  /** @param reasoning null for a text without, and `calling` for one without calls */
  constructor(reasoning: Reasoning | null, calling: Calling | null) {
    const syntax = calling?.form.family.syntax ?? null;
    this.#split = splitOf(reasoning, syntax === 'channels' ? calling : null);
    this.#calls = calling === null || syntax === null || syntax === 'channels' ? null : new CallSplit(syntax, calling);
    this.#tokens = new Map([...(calling?.form.tokens ?? []), ...(reasoning?.form.tokens ?? [])]);
  }

  /** Tokens of the reasoning, its marks included. */
  get reasoningTokens(): number {
    return this.#reasoningTokens;
  }

  /** Whether a call has begun. */
  get hasCalls(): boolean {
    return this.#hasCalls;
  }

  /** @param piece the text of the next token, which is given again when it is certain */
  draw(token: number, piece: string): void {
    const mark = this.#tokens.get(token);
    const isMark = mark !== undefined && (piece === '' || piece.endsWith(mark));
    this.#pending.push({ mark: isMark ? token : null, left: piece.length });
  }

  /** Text that is certain, in order. */
  take(text: string): SplitText {
    const taken = this.#taken(text);
    this.#hasCalls ||= taken.calls !== undefined;
    return taken;
  }

  #taken(text: string): Taken {
    const taken: Taken = { reasoning: '', text: '' };
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
      const before = whole.slice(0, Math.max(0, whole.length - mark.length));
      if (before !== '') add(taken, this.#push(before, null));
      if (next.mark !== null) add(taken, this.#pushMark(mark, next.mark, whole === ''));
    }
    if (at < text.length) add(taken, this.#push(text.slice(at), null));
    return taken;
  }

  /** The last text, and what was held back. */
  end(text: string): SplitText {
    const taken: Taken = { reasoning: '', text: '' };
    add(taken, this.#taken(text));
    add(taken, this.#push(this.#partOfMark, null));
    if (this.#split !== null) add(taken, this.#withCalls(this.#split.flush()));
    if (this.#calls !== null) add(taken, { reasoning: '', ...textAndCalls(this.#calls.flush()) });
    if (this.#split?.part === 'reasoning') this.#reasoningTokens += this.#undecided + this.#pending.length;
    this.#hasCalls ||= taken.calls !== undefined;
    return taken;
  }

  #pushMark(text: string, mark: number, isHidden: boolean): SplitText {
    // A mark of calls within reasoning is none.
    return this.#push(isHidden && this.#split?.part === 'reasoning' ? '' : text, mark);
  }

  #push(piece: string, mark: number | null): SplitText {
    if (this.#split === null) return this.#withCalls({ reasoning: '', text: piece });
    const before = this.#split.part;
    const taken = this.#split.push(piece, mark);
    const { part } = this.#split;
    if (before === 'reasoning' || part === 'reasoning') this.#reasoningTokens += this.#undecided;
    if (before === 'reasoning' || part !== null) this.#undecided = 0;
    return this.#withCalls(taken);
  }

  /** The same with the calls in its text told apart. */
  #withCalls(taken: SplitText): SplitText {
    return this.#calls === null ? taken : { ...taken, ...textAndCalls(this.#calls.push(taken.text)) };
  }
}

function splitOf(reasoning: Reasoning | null, channels: OfferedTools | null): AnswerSplit | null {
  if (reasoning === null) return null;
  const { form, opened } = reasoning;
  return form.kind === 'channels' ? new ChannelSplit(form.marks, opened, channels) : new EnclosedSplit(form, opened);
}

function add(to: Taken, { reasoning, text, calls = [] }: SplitText): void {
  to.reasoning += reasoning;
  if (to.calls === undefined) to.text += text;
  else if (text !== '') to.calls.push({ type: 'text', text });
  if (calls.length > 0) to.calls = [...(to.calls ?? []), ...calls];
}
