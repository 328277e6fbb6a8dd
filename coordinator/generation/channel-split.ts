import type { ChannelMark } from '../model/reasoning-marks.ts';
import { type AnswerSplit, NO_TEXT, type SplitText } from './answer-split.ts';

/** Characters of a message's header that are looked at. */
const MAX_HEADER = 256;
/** What stands between two messages of the same part. */
const SEPARATOR = '\n\n';

/**
 * Tells messages in channels apart: what is in the channel "analysis" is reasoning, all else is answer. Headers are left out, but
 * text that stands outside of any message is not.
 */
export class ChannelSplit implements AnswerSplit {
  readonly #marks: ReadonlyMap<number, ChannelMark>;
  readonly #begun = { reasoning: false, text: false };
  #part: keyof SplitText | null;
  /** Of the message that is opened; null outside of headers. */
  #header: string | null = null;
  #isNewMessage = true;
  #space = '';

  constructor(marks: ReadonlyMap<number, ChannelMark>, opened: boolean) {
    this.#marks = marks;
    this.#part = opened ? 'reasoning' : null;
  }

  get part(): keyof SplitText | null {
    return this.#part;
  }

  push(piece: string, mark: number | null): SplitText {
    const kind = mark === null ? undefined : this.#marks.get(mark);
    if (kind === undefined) return this.#push(piece);
    this.#space = '';
    if (kind === 'message') {
      this.#part = this.#header?.trimStart().startsWith('analysis') ? 'reasoning' : 'text';
      this.#isNewMessage = true;
    } else {
      this.#part = null;
    }
    this.#header = kind === 'start' || kind === 'channel' ? '' : null;
    return NO_TEXT;
  }

  flush(): SplitText {
    return NO_TEXT;
  }

  #push(piece: string): SplitText {
    if (this.#header !== null) {
      this.#header = (this.#header + piece).slice(0, MAX_HEADER);
      return NO_TEXT;
    }
    if (piece === '') return NO_TEXT;
    this.#part ??= 'text';
    if (this.#part === 'text') return { reasoning: '', text: this.#separated('text', piece) };
    const held = this.#space + piece;
    const text = held.trimEnd();
    // Not before more reasoning follows.
    this.#space = held.slice(text.length);
    if (text === '') return NO_TEXT;
    const shown = this.#isNewMessage ? text.trimStart() : text;
    return { reasoning: this.#separated('reasoning', shown), text: '' };
  }

  #separated(part: keyof SplitText, text: string): string {
    const separator = this.#isNewMessage && this.#begun[part] ? SEPARATOR : '';
    this.#isNewMessage = false;
    this.#begun[part] = true;
    return separator + text;
  }
}
