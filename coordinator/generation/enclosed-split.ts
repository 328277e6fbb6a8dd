import type { EnclosedReasoning } from '../model/reasoning-marks.ts';
import type { AnswerPart, AnswerSplit, SplitText } from './answer-split.ts';
import { startOfPossible } from './stop-sequences.ts';

/** Where the text has got to. In a gap, a mark may come after whitespace, and anything else begins the answer. */
type Place = 'gap before reasoning' | 'reasoning' | 'gap before answer' | 'enclosed answer' | 'answer';

const NEXT: Readonly<Record<Place, Place>> = {
  'gap before reasoning': 'reasoning',
  reasoning: 'gap before answer',
  'gap before answer': 'enclosed answer',
  'enclosed answer': 'answer',
  answer: 'answer',
};

/**
 * Tells reasoning that is enclosed in marks from the answer after it. Reasoning stands only at the beginning: marks
 * within an answer are text, and reasoning that is never closed goes on to the end.
 */
export class EnclosedSplit implements AnswerSplit {
  readonly #form: EnclosedReasoning;
  #place: Place;
  /** Nothing but whitespace was there since the last mark. */
  #atStart = true;
  #held = '';
  #out: { reasoning: string; text: string } = { reasoning: '', text: '' };

  constructor(form: EnclosedReasoning, opened: boolean) {
    this.#form = form;
    this.#place = opened ? 'reasoning' : 'gap before reasoning';
  }

  get part(): AnswerPart | null {
    if (this.#place === 'reasoning') return 'reasoning';
    return this.#place === 'answer' || this.#place === 'enclosed answer' ? 'text' : null;
  }

  push(piece: string, mark: number | null): SplitText {
    if (mark !== null && this.#form.tokens.get(mark) === this.#mark()) {
      // What is held back in front of it is whitespace.
      this.#held = '';
      this.#enter(NEXT[this.#place]);
      return this.#taken();
    }
    this.#held += piece;
    while (this.#advance());
    return this.#taken();
  }

  flush(): SplitText {
    if (this.#place === 'reasoning') this.#emit(this.#held.trimEnd());
    else if (this.#place !== 'gap before answer' || this.#held.trim() !== '') this.#begin(this.#held);
    this.#held = '';
    return this.#taken();
  }

  /** Takes what is certain of the held text. @returns whether the place has changed, and there is more to take */
  #advance(): boolean {
    const mark = this.#isByToken() ? null : this.#mark();
    if (this.#place === 'answer') {
      this.#emit(this.#held);
      this.#held = '';
      return false;
    }
    if (this.#place === 'reasoning' || this.#place === 'enclosed answer') return this.#body(mark);
    const text = this.#held.trimStart();
    if (text === '' || (mark !== null && text.length < mark.length && mark.startsWith(text))) return false;
    if (mark === null || !text.startsWith(mark)) {
      this.#begin(this.#held);
      return false;
    }
    this.#held = text.slice(mark.length);
    this.#enter(NEXT[this.#place]);
    return true;
  }

  /** Text up to the mark, or up to what may become one; whitespace before it is left out. */
  #body(mark: string | null): boolean {
    const at = mark === null ? -1 : this.#held.indexOf(mark);
    const end = at >= 0 ? at : mark === null ? this.#held.length : startOfPossible(this.#held, [mark]);
    const text = this.#held.slice(0, end).trimEnd();
    this.#emit(text);
    if (at < 0 || mark === null) {
      this.#held = this.#held.slice(text.length);
      return false;
    }
    this.#held = this.#held.slice(at + mark.length);
    this.#enter(NEXT[this.#place]);
    return true;
  }

  /** The answer begins with this, without a mark: after reasoning without the whitespace, else as it is. */
  #begin(text: string): void {
    const isAfter = this.#place === 'gap before answer';
    this.#place = 'answer';
    this.#held = '';
    this.#out.text += isAfter ? text.trimStart() : text;
  }

  #enter(place: Place): void {
    this.#place = place;
    this.#atStart = true;
  }

  #emit(text: string): void {
    const isBody = this.#place === 'reasoning' || this.#place === 'enclosed answer';
    const shown = isBody && this.#atStart ? text.trimStart() : text;
    if (shown !== '') this.#atStart = false;
    this.#out[this.#place === 'reasoning' ? 'reasoning' : 'text'] += shown;
  }

  /** The mark that would count here. */
  #mark(): string | null {
    const { open, close, answer } = this.#form;
    switch (this.#place) {
      case 'gap before reasoning':
        return open;
      case 'reasoning':
        return close;
      case 'gap before answer':
        return answer?.[0] ?? null;
      case 'enclosed answer':
        return answer?.[1] ?? null;
      case 'answer':
        return null;
    }
  }

  #isByToken(): boolean {
    const { tokens } = this.#form;
    return tokens.size > 0 && (this.#place === 'gap before reasoning' || this.#place === 'reasoning');
  }

  #taken(): SplitText {
    const out = this.#out;
    this.#out = { reasoning: '', text: '' };
    return out;
  }
}
