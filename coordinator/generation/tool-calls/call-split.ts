import { startOfPossible } from '../stop-sequences.ts';
import { type AnswerEvent, CallLog, type OfferedTools } from './call-events.ts';
import { CallObjectReader } from './call-object.ts';
import { type CallReader, NamedCallReader } from './call-reader.ts';
import { TaggedCallReader } from './tagged-call.ts';

/** Where calls stand in the text of an answer, and what they look like. */
export interface CallSyntax {
  /** Marks after which calls follow: one, or a list in brackets. None is part of another. */
  readonly opens: readonly string[];
  /** The mark after them; null where there is none. It may be missing at the end of an answer. */
  readonly close: string | null;
  /** Calls may also begin the answer, without a mark. */
  readonly atStart: boolean;
  /** What a call is: an object; that, or a name and, after it, the arguments alone; tags. */
  readonly calls: 'objects' | 'objects or names' | 'tags';
}

/** Whether the place is in text or among calls: before one, in one, after one. */
type Place = 'start' | 'text' | 'before call' | 'call' | 'after call';

/** Characters of whitespace that wait for what follows. */
const MAX_SPACE = 256;
/** Characters that wait to become a call. */
const MAX_HELD = 1 << 16;

const isSpace = (c: string): boolean => /\s/.test(c);

/**
 * Tells the calls in an answer from its text, as they come. A call has begun when its name, that of an offered
 * function, and the start of its arguments are there; until then it is held back, and is text if no call comes of it.
 * Marks of calls are not shown, nor is the whitespace around calls. It goes from character to character, so how the
 * text is cut into pieces makes no difference.
 */
export class CallSplit {
  readonly #syntax: CallSyntax;
  readonly #offered: OfferedTools;
  readonly #log: CallLog;
  #place: Place = 'start';
  /** What may become a mark or a call, as it was written. */
  #held = '';
  /** Whitespace at the end of the text so far. */
  #space = '';
  #hasText = false;
  #isAfterCall = false;
  /** Within a list of calls in brackets. */
  #inList = false;
  #callsHere = 0;
  #reader: CallReader | null = null;

  constructor(syntax: CallSyntax, offered: OfferedTools) {
    this.#syntax = syntax;
    this.#offered = offered;
    this.#log = new CallLog(offered.newId);
  }

  /** Takes the next piece of the answer, with the texts of tokens that are marks. */
  push(piece: string): AnswerEvent[] {
    for (let at = 0; at < piece.length; at++) this.#feed(piece.charAt(at));
    return this.#log.take();
  }

  /** The answer is over: a call that has begun has broken off, and what else is held back is text. */
  flush(): AnswerEvent[] {
    if (this.#log.isOpen) this.#endCall();
    // After a call, only whitespace, a separator or half of the mark is held.
    else if (this.#place === 'call' || this.#place === 'text' || this.#callsHere === 0) this.#giveBack();
    if (!this.#isAfterCall) this.#log.text(this.#space);
    this.#space = '';
    this.#held = '';
    return this.#log.take();
  }

  #feed(c: string): void {
    // A character at which a call turns out to be none is looked at again, as text.
    while (!this.#step(c));
  }

  /** @returns whether the character was taken; if not, the place has changed */
  #step(c: string): boolean {
    switch (this.#place) {
      case 'start':
        return this.#atStart(c);
      case 'text':
        return this.#inText(c);
      case 'before call':
        return this.#beforeCall(c);
      case 'call':
        return this.#inCall(c);
      case 'after call':
        return this.#afterCall(c);
    }
  }

  #atStart(c: string): boolean {
    if (isSpace(c)) return this.#show(c);
    if (this.#syntax.atStart && (c === '{' || c === '[')) this.#enter();
    else this.#place = 'text';
    return false;
  }

  #inText(c: string): boolean {
    const { opens } = this.#syntax;
    const held = this.#held + c;
    const start = startOfPossible(held, opens);
    // A whole mark is no possible one any more, and begins with the first character held.
    if (opens.includes(held)) {
      this.#held = held;
      this.#enter();
      return true;
    }
    for (const shown of held.slice(0, start)) this.#show(shown);
    this.#held = held.slice(start);
    return true;
  }

  #enter(): void {
    this.#place = 'before call';
    this.#inList = false;
    this.#callsHere = 0;
  }

  #beforeCall(c: string): boolean {
    const isFirst = this.#callsHere === 0 && !this.#inList;
    if (isSpace(c)) return this.#hold(c, MAX_SPACE);
    if (c === '[' && isFirst && this.#syntax.calls !== 'tags') {
      this.#inList = true;
      return this.#hold(c, MAX_SPACE);
    }
    this.#reader = this.#readerOf(c, isFirst);
    if (this.#reader === null) return this.#leave();
    this.#place = 'call';
    return false;
  }

  /** @param c what the call begins with. @returns null where none begins so */
  #readerOf(c: string, isFirst: boolean): CallReader | null {
    const { calls } = this.#syntax;
    if (calls === 'tags') return c === '<' && isFirst ? new TaggedCallReader(this.#log, this.#offered) : null;
    if (c === '{') return new CallObjectReader(this.#log, this.#offered.names);
    return calls === 'objects or names' && isFirst ? new NamedCallReader(this.#log, this.#offered.names) : null;
  }

  #inCall(c: string): boolean {
    const reader = this.#reader;
    const scanned = reader?.push(c) ?? 'invalid';
    if (!this.#log.isOpen) return scanned === 'more' ? this.#hold(c, MAX_HELD) : this.#leave();
    // It has begun: what was held back is the call's, and so is the whitespace before it.
    this.#held = '';
    this.#space = '';
    if (scanned === 'more') return true;
    this.#endCall();
    if (scanned === 'invalid') return this.#leave();
    this.#callsHere++;
    this.#place = 'after call';
    return true;
  }

  #endCall(): void {
    this.#log.end(this.#reader?.hasArguments ?? false);
    this.#reader = null;
    this.#isAfterCall = true;
  }

  #afterCall(c: string): boolean {
    const { close } = this.#syntax;
    const tail = (this.#held + c).trimStart();
    if (tail === '') return this.#hold(c, MAX_SPACE);
    if (!this.#inList && close?.startsWith(tail)) {
      if (tail !== close) return this.#hold(c, MAX_SPACE);
      this.#held = '';
      this.#place = 'text';
      return true;
    }
    if (tail.length > 1) return this.#leave();
    if (c === ']' && this.#inList) {
      this.#inList = false;
      this.#held = '';
      return true;
    }
    if (c === ',' || (c === ';' && !this.#inList)) {
      this.#place = 'before call';
      return this.#hold(c, MAX_SPACE);
    }
    if (c !== '{' || this.#inList) return this.#leave();
    this.#place = 'before call';
    return false;
  }

  /** @returns whether there was room to hold the character as well */
  #hold(c: string, limit: number): boolean {
    if (this.#held.length >= limit) return this.#leave();
    this.#held += c;
    return true;
  }

  /** No call comes of what is held back: it is text. @returns false */
  #leave(): boolean {
    const isAfterCall = this.#place === 'after call';
    this.#place = 'text';
    this.#reader = null;
    if (!isAfterCall) this.#giveBack();
    // What began like the mark after a call may begin the next call's.
    const again = this.#held;
    this.#held = '';
    for (const c of again) this.#feed(c);
    return false;
  }

  #giveBack(): void {
    const text = this.#held;
    this.#held = '';
    for (const c of text) this.#show(c);
  }

  /** Text; whitespace waits for what comes after it. @returns true */
  #show(c: string): boolean {
    if (isSpace(c)) {
      this.#space += c;
      if (this.#space.length > MAX_SPACE) {
        this.#log.text(this.#space.charAt(0));
        this.#space = this.#space.slice(1);
      }
      return true;
    }
    const isBorder = this.#isAfterCall && !this.#hasText;
    this.#log.text((isBorder ? '' : this.#space) + c);
    this.#space = '';
    this.#hasText = true;
    this.#isAfterCall = false;
    return true;
  }
}
