import type { Constraint } from '../constraint/constraint.ts';
import type { ReasoningForm } from '../model/reasoning-marks.ts';
import type { Reasoning } from './answer-parts.ts';
import type { TextCodec } from './text-codec.ts';

/**
 * Where a text has got to. Its format applies to the answer. `undecided`: it may begin with reasoning, or with the
 * answer; `between`: outside of any message of a channel; `header`: before a message; there, and in the reasoning,
 * anything may be written but an end.
 */
type Place = 'undecided' | 'between' | 'header' | 'reasoning' | 'answer';

const MAX_HEADER = 256;

/** A text whose answer has a format, as far as it has got. It does not change: `after` gives another one. */
export class FormattedText {
  readonly #constraint: Constraint;
  readonly #codec: TextCodec;
  readonly #form: ReasoningForm | null;
  readonly #place: Place;
  /** The last of the header, or of the reasoning, that may hold a mark. */
  readonly #tail: string;

  private constructor(
    constraint: Constraint,
    codec: TextCodec,
    form: ReasoningForm | null,
    place: Place,
    tail: string,
  ) {
    this.#constraint = constraint;
    this.#codec = codec;
    this.#form = form;
    this.#place = place;
    this.#tail = tail;
  }

  static begin(constraint: Constraint, codec: TextCodec, reasoning: Reasoning | undefined): FormattedText {
    const form = reasoning?.form ?? null;
    return new FormattedText(constraint, codec, form, firstPlace(reasoning), '');
  }

  /** Whether the text may end here. */
  get isComplete(): boolean {
    return this.#place === 'answer' && this.#constraint.isComplete;
  }

  /** Whether it can only end here. */
  get isOver(): boolean {
    return this.#place === 'answer' && this.#constraint.isOver;
  }

  /**
   * The tokens that may come next, as Constraint.allowed has them.
   * @throws StarlingError invalid_request as Constraint.allowed
   */
  allowed(): Uint32Array {
    const marks = [...(this.#form?.tokens.keys() ?? [])];
    switch (this.#place) {
      case 'answer':
        // Marks of channels have text of their own, but are no part of any message.
        return this.#form?.kind === 'channels'
          ? without(this.#constraint.allowed(), marks)
          : this.#constraint.allowed();
      case 'undecided':
        return withTokens(this.#constraint.allowed(), this.#form?.kind === 'enclosed' ? marks.slice(0, 1) : []);
      case 'between': {
        const opening = marks.filter((token) => this.#mark(token) === 'start' || this.#mark(token) === 'channel');
        return withTokens(new Uint32Array(this.#constraint.anyText().length), opening);
      }
      case 'header':
      case 'reasoning':
        return withTokens(this.#constraint.anyText(), marks);
    }
  }

  /** The token that comes next whatever the model says; null where there is none. */
  forced(): number | null {
    return this.#place === 'answer' ? this.#constraint.forced() : null;
  }

  /** The text after one more token; null where that is not allowed. */
  after(token: number): FormattedText | null {
    if (this.#place === 'answer' && this.#mark(token) !== undefined) return null;
    if (this.#place === 'answer') return this.#answer(this.#constraint.accept(token));
    if (this.#form?.kind === 'channels') return this.#afterInChannels(token);
    if (this.#place === 'undecided') {
      const [open] = this.#form?.tokens.keys() ?? [];
      return token === open ? this.#at('reasoning') : this.#answer(this.#constraint.accept(token));
    }
    return this.#afterInReasoning(token);
  }

  #afterInChannels(token: number): FormattedText {
    const mark = this.#mark(token);
    if (mark === 'start' || mark === 'channel') return this.#at('header');
    if (mark === 'end') return this.#at('between');
    if (mark === 'message') return this.#at(this.#tail.trimStart().startsWith('analysis') ? 'reasoning' : 'answer');
    return this.#place === 'header' ? this.#at('header', (this.#tail + this.#piece(token)).slice(0, MAX_HEADER)) : this;
  }

  #afterInReasoning(token: number): FormattedText {
    if (this.#form?.kind !== 'enclosed') return this;
    const { close, tokens } = this.#form;
    if (tokens.size > 0) return tokens.get(token) === close ? this.#at('answer') : this;
    const text = this.#tail + this.#piece(token);
    const at = text.indexOf(Buffer.from(close, 'utf8').toString('latin1'));
    return at < 0 ? this.#at('reasoning', text.slice(-4 * close.length)) : this.#at('answer');
  }

  /** The bytes of a token, one a character, so that marks are found whatever tokens they are cut into. */
  #piece(token: number): string {
    return Buffer.from(this.#codec.pieceBytes(token)).toString('latin1');
  }

  #mark(token: number): string | undefined {
    return this.#form?.kind === 'channels' ? this.#form.marks.get(token) : undefined;
  }

  #at(place: Place, tail = ''): FormattedText {
    return new FormattedText(this.#constraint, this.#codec, this.#form, place, tail);
  }

  #answer(constraint: Constraint | null): FormattedText | null {
    return constraint === null ? null : new FormattedText(constraint, this.#codec, this.#form, 'answer', '');
  }
}

/** A model may open reasoning itself where that is a token of its own. */
function firstPlace(reasoning: Reasoning | undefined): Place {
  if (reasoning === undefined) return 'answer';
  if (reasoning.opened) return 'reasoning';
  if (reasoning.form.kind === 'channels') return 'between';
  return reasoning.form.tokens.size > 0 ? 'undecided' : 'answer';
}

function withTokens(set: Uint32Array, tokens: readonly number[]): Uint32Array {
  if (tokens.length === 0) return set;
  const more = set.slice();
  for (const token of tokens) more[token >>> 5]! |= 1 << (token & 31);
  return more;
}

/** A set as Constraint.allowed has it, with fewer tokens; the same where there are none to leave out. */
export function without(set: Uint32Array, tokens: readonly number[]): Uint32Array {
  if (tokens.length === 0) return set;
  const fewer = set.slice();
  for (const token of tokens) fewer[token >>> 5]! &= ~(1 << (token & 31));
  return fewer;
}
