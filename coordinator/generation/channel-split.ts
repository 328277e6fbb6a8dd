import type { ChannelMark } from '../model/reasoning-marks.ts';
import { type AnswerPart, type AnswerSplit, NO_TEXT, type SplitText } from './answer-split.ts';
import { CallLog, type OfferedTools, textAndCalls } from './tool-calls/call-events.ts';
import { ArgumentsReader } from './tool-calls/call-reader.ts';
import type { Scanned } from './tool-calls/json-scanner.ts';

/** Characters of a message's header that are looked at. */
const MAX_HEADER = 256;
/** What stands between two messages of the same part. */
const SEPARATOR = '\n\n';
/** Whom a message is for. */
const RECIPIENT = /(?:^|\s)to=(?:functions\.)?([\w.-]+)/;

/**
 * Tells messages in channels apart: what is in the channel "analysis" is reasoning, what is for a function that was
 * offered is a call, all else is answer. Headers are left out, but text that stands outside of any message is not.
 */
export class ChannelSplit implements AnswerSplit {
  readonly #marks: ReadonlyMap<number, ChannelMark>;
  readonly #names: ReadonlySet<string>;
  readonly #log: CallLog;
  readonly #begun = { reasoning: false, text: false };
  #part: AnswerPart | null;
  /** Of the message that is opened; null outside of headers. */
  #header: string | null = null;
  #recipient: string | null = null;
  /** Of a message for a function, while its text is the arguments. */
  #reader: ArgumentsReader | null = null;
  /** What the answer begins with, where that may be the rest of the header that the prompt began. */
  #start: string | null;
  #isNewMessage = true;
  #space = '';

  /** @param offered the tools that were; null for none */
  constructor(marks: ReadonlyMap<number, ChannelMark>, opened: boolean, offered: OfferedTools | null = null) {
    this.#marks = marks;
    this.#part = opened ? 'reasoning' : null;
    this.#names = offered?.names ?? new Set();
    this.#log = new CallLog(offered?.newId ?? String);
    this.#start = offered === null || opened ? null : '';
  }

  get part(): AnswerPart | null {
    return this.#part;
  }

  push(piece: string, mark: number | null): SplitText {
    const kind = mark === null ? undefined : this.#marks.get(mark);
    if (kind === undefined) return this.#start === null ? this.#push(piece) : this.#pushAtStart(this.#start + piece);
    const ended = this.#endMessage();
    this.#space = '';
    if (kind === 'start') this.#recipient = null;
    else this.#recipient = RECIPIENT.exec(this.#header ?? '')?.[1] ?? this.#recipient;
    if (kind === 'message') this.#openMessage();
    else this.#part = null;
    this.#header = kind === 'start' || kind === 'channel' ? '' : null;
    return ended;
  }

  flush(): SplitText {
    const rest = this.#start ?? '';
    this.#start = null;
    return rest === '' ? this.#endMessage() : this.#push(rest);
  }

  #openMessage(): void {
    const isCall = this.#recipient !== null && this.#names.has(this.#recipient);
    if (isCall) this.#reader = new ArgumentsReader(this.#log, this.#recipient ?? '');
    this.#part = !isCall && this.#header?.trimStart().startsWith('analysis') ? 'reasoning' : 'text';
    this.#recipient = null;
    this.#isNewMessage = true;
  }

  #endMessage(): SplitText {
    if (this.#start !== null) this.#header = this.#start;
    this.#start = null;
    if (this.#log.isOpen) this.#log.end(this.#reader?.hasArguments ?? false);
    this.#reader = null;
    return { ...NO_TEXT, ...textAndCalls(this.#log.take()) };
  }

  /**
   * A model that is asked to call may go on with the recipient at once, as in `<|start|>assistant
   * to=functions.f<|channel|>…`.
   */
  #pushAtStart(text: string): SplitText {
    const written = text.trimStart();
    const isHeader = written.length < 3 ? 'to='.startsWith(written) : written.startsWith('to=');
    this.#start = isHeader && text.length <= MAX_HEADER ? text : null;
    return this.#start === null ? this.#push(text) : NO_TEXT;
  }

  #push(piece: string): SplitText {
    if (this.#header !== null) {
      this.#header = (this.#header + piece).slice(0, MAX_HEADER);
      return NO_TEXT;
    }
    if (piece === '') return NO_TEXT;
    this.#part ??= 'text';
    if (this.#reader !== null) return this.#pushArguments(this.#reader, piece);
    if (this.#part === 'text') return { reasoning: '', text: this.#separated('text', piece) };
    const held = this.#space + piece;
    const text = held.trimEnd();
    // Not before more reasoning follows.
    this.#space = held.slice(text.length);
    if (text === '') return NO_TEXT;
    const shown = this.#isNewMessage ? text.trimStart() : text;
    return { reasoning: this.#separated('reasoning', shown), text: '' };
  }

  /** What is no JSON, or comes after it, is answer. */
  #pushArguments(reader: ArgumentsReader, piece: string): SplitText {
    let scanned: Scanned = 'more';
    let at = 0;
    while (at < piece.length && scanned === 'more' && !reader.hasArguments) {
      scanned = reader.push(piece.charAt(at));
      if (scanned !== 'invalid') at++;
    }
    if (this.#log.isOpen && scanned !== 'more') this.#log.end(reader.hasArguments);
    const rest = reader.hasArguments ? piece.slice(at).trimStart() : piece.slice(at);
    if (rest !== '') {
      this.#reader = null;
      this.#log.text(this.#separated('text', rest));
    }
    return { ...NO_TEXT, ...textAndCalls(this.#log.take()) };
  }

  #separated(part: AnswerPart, text: string): string {
    const separator = this.#isNewMessage && this.#begun[part] ? SEPARATOR : '';
    this.#isNewMessage = false;
    this.#begun[part] = true;
    return separator + text;
  }
}
