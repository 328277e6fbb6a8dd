import type { Constraint } from '../constraint/constraint.ts';
import type { EnclosedReasoning } from '../model/reasoning-marks.ts';
import type { TextCodec } from './text-codec.ts';

/**
 * Where a text has got to. Its format applies to the answer. `undecided`: it may begin with reasoning, or with the
 * answer.
 */
type Place = 'undecided' | 'reasoning' | 'answer';

/**
 * A text whose answer has a format, after reasoning that marks enclose, as far as it has got. It does not change:
 * `after` gives another one.
 */
export class FormattedText {
  readonly #constraint: Constraint;
  readonly #codec: TextCodec;
  readonly #form: EnclosedReasoning | null;
  readonly #place: Place;
  /** The last of the reasoning, that may hold a mark. */
  readonly #tail: string;

  private constructor(
    constraint: Constraint,
    codec: TextCodec,
    form: EnclosedReasoning | null,
    place: Place,
    tail: string,
  ) {
    this.#constraint = constraint;
    this.#codec = codec;
    this.#form = form;
    this.#place = place;
    this.#tail = tail;
  }

  /** @param opened whether the prompt ends within the reasoning */
  static begin(
    constraint: Constraint,
    codec: TextCodec,
    form: EnclosedReasoning | null,
    opened: boolean,
  ): FormattedText {
    return new FormattedText(constraint, codec, form, firstPlace(form, opened), '');
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
        return this.#constraint.allowed();
      case 'undecided':
        return withTokens(this.#constraint.allowed(), marks.slice(0, 1));
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
    if (this.#place === 'answer') return this.#answer(this.#constraint.accept(token));
    if (this.#place === 'undecided') {
      const [open] = this.#form?.tokens.keys() ?? [];
      return token === open ? this.#at('reasoning') : this.#answer(this.#constraint.accept(token));
    }
    return this.#afterInReasoning(token);
  }

  #afterInReasoning(token: number): FormattedText {
    if (this.#form === null) return this;
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

  #at(place: Place, tail = ''): FormattedText {
    return new FormattedText(this.#constraint, this.#codec, this.#form, place, tail);
  }

  #answer(constraint: Constraint | null): FormattedText | null {
    return constraint === null ? null : new FormattedText(constraint, this.#codec, this.#form, 'answer', '');
  }
}

/** A model may open reasoning itself where that is a token of its own. */
function firstPlace(form: EnclosedReasoning | null, opened: boolean): Place {
  if (form === null) return 'answer';
  if (opened) return 'reasoning';
  return form.tokens.size > 0 ? 'undecided' : 'answer';
}

/** A set of tokens, as Constraint.allowed has it, and more. */
export function withTokens(set: Uint32Array, tokens: readonly number[]): Uint32Array {
  if (tokens.length === 0) return set;
  const more = set.slice();
  for (const token of tokens) more[token >>> 5]! |= 1 << (token & 31);
  return more;
}

/** A set as Constraint.allowed has it, with fewer tokens; the same where there are none to leave out. */
export function withoutTokens(set: Uint32Array, tokens: readonly number[]): Uint32Array {
  if (tokens.length === 0) return set;
  const fewer = set.slice();
  for (const token of tokens) fewer[token >>> 5]! &= ~(1 << (token & 31));
  return fewer;
}
