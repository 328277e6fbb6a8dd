import type { Constraint } from '../constraint/constraint.ts';
import { type ChannelledReasoning, type ChannelMark, OPENED_ANALYSIS } from '../model/reasoning-marks.ts';
import { withoutTokens, withTokens } from './formatted-text.ts';
import type { TextCodec } from './text-codec.ts';

/** Where a text has got to: before a message, in one that others follow, in the last one. */
type Place = 'header' | 'message' | 'last message';

/** A mark of its own, or text without the beginning of one. */
const IN_HEADER = /^(?:<\|\w+\|>|[^<]*)$/;

/**
 * An answer in channels under a constraint that channelGrammar made, as far as it has got. It does not change: `after`
 * gives another one. Marks are the tokens, and no text that is spelled like them.
 */
export class ChannelledText {
  readonly #constraint: Constraint;
  readonly #codec: TextCodec;
  readonly #form: ChannelledReasoning;
  readonly #place: Place;
  /** What may be written in a message that others follow: the same for each of its tokens. */
  #inMessage: Uint32Array | null = null;

  private constructor(constraint: Constraint, codec: TextCodec, form: ChannelledReasoning, place: Place) {
    this.#constraint = constraint;
    this.#codec = codec;
    this.#form = form;
    this.#place = place;
  }

  /** @param opened whether the prompt ends within the reasoning */
  static begin(constraint: Constraint, codec: TextCodec, form: ChannelledReasoning, opened: boolean): ChannelledText {
    let text = new ChannelledText(constraint, codec, form, 'header');
    const header = opened ? codec.encode(OPENED_ANALYSIS, { addSpecial: false, parseSpecial: true }) : [];
    for (const token of header) text = text.after(token) ?? text;
    return text;
  }

  /** Whether the text may end here. */
  get isComplete(): boolean {
    return this.#place === 'last message' && this.#constraint.isComplete;
  }

  /** Whether it can only end here. */
  get isOver(): boolean {
    return this.#place === 'last message' && this.#constraint.isOver;
  }

  /**
   * The tokens that may come next, as Constraint.allowed has them.
   * @throws StarlingError invalid_request as Constraint.allowed
   */
  allowed(): Uint32Array {
    switch (this.#place) {
      case 'header':
        return this.#inHeader(this.#constraint.allowed());
      case 'message':
        this.#inMessage ??= this.#anyMessage();
        return this.#inMessage;
      case 'last message':
        return withoutTokens(this.#constraint.allowed(), [...this.#form.tokens.keys()]);
    }
  }

  /** The token that comes next whatever the model says; null where there is none. */
  forced(): number | null {
    if (this.#place === 'message') return null;
    const token = this.#constraint.forced();
    return token !== null && this.#mayStand(token) ? token : null;
  }

  /** The text after one more token; null where that is not allowed. */
  after(token: number): ChannelledText | null {
    if (this.#place === 'message' && this.#mark(token) !== 'end') return this.#mark(token) === undefined ? this : null;
    if (!this.#mayStand(token)) return null;
    const constraint = this.#constraint.accept(token);
    return constraint === null ? null : this.#at(constraint, this.#placeAfter(token, constraint));
  }

  #anyMessage(): Uint32Array {
    const marks = [...this.#form.tokens.keys()];
    const ends = marks.filter((token) => this.#mark(token) === 'end');
    return withTokens(withoutTokens(this.#constraint.anyText(), marks), ends);
  }

  #placeAfter(token: number, constraint: Constraint): Place {
    if (this.#mark(token) !== 'message') return this.#place === 'message' ? 'header' : this.#place;
    const next = constraint.forced();
    return next !== null && this.#mark(next) === 'end' ? 'message' : 'last message';
  }

  #mayStand(token: number): boolean {
    if (this.#place === 'header') return IN_HEADER.test(Buffer.from(this.#codec.pieceBytes(token)).toString('latin1'));
    return this.#place === 'message' || this.#mark(token) === undefined;
  }

  /** Few tokens are allowed in a header, so that they can be looked at one by one. */
  #inHeader(allowed: Uint32Array): Uint32Array {
    const standing = allowed.slice();
    for (const [word, bits] of allowed.entries()) {
      for (let bit = 0; bits !== 0 && bit < 32; bit++) {
        if (((bits >>> bit) & 1) === 1 && !this.#mayStand(32 * word + bit)) standing[word]! &= ~(1 << bit);
      }
    }
    return standing;
  }

  #mark(token: number): ChannelMark | undefined {
    return this.#form.marks.get(token);
  }

  #at(constraint: Constraint, place: Place): ChannelledText {
    return new ChannelledText(constraint, this.#codec, this.#form, place);
  }
}
