/** What happens to the calls of an answer. `index` counts the calls of the answer from 0. */
export type CallEvent =
  | { readonly type: 'begin'; readonly index: number; readonly id: string; readonly name: string }
  /** More of the arguments, which are the JSON text of an object. */
  | { readonly type: 'arguments'; readonly index: number; readonly delta: string }
  /** @param complete false where the arguments broke off: the answer ended within them, or they went on as no JSON */
  | { readonly type: 'end'; readonly index: number; readonly complete: boolean };

/** An answer's text and its calls, in the order in which they were written. */
export type AnswerEvent = { readonly type: 'text'; readonly text: string } | CallEvent;

/** Makes the id of the `index`-th call of an answer; different for every call of a conversation. */
export type NewCallId = (index: number) => string;

/** Events that gather until somebody takes them: neighbours of one kind become one. */
export class CallLog {
  readonly #newId: NewCallId;
  #events: AnswerEvent[] = [];
  #calls = 0;
  #isOpen = false;

  constructor(newId: NewCallId) {
    this.#newId = newId;
  }

  /** A call has begun, and not ended. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  text(text: string): void {
    const last = this.#events.at(-1);
    if (text === '') return;
    if (last?.type === 'text') this.#events[this.#events.length - 1] = { type: 'text', text: last.text + text };
    else this.#events.push({ type: 'text', text });
  }

  begin(name: string): void {
    const index = this.#calls++;
    this.#isOpen = true;
    this.#events.push({ type: 'begin', index, id: this.#newId(index), name });
  }

  arguments(delta: string): void {
    const last = this.#events.at(-1);
    const index = this.#calls - 1;
    if (last?.type === 'arguments') {
      this.#events[this.#events.length - 1] = { type: 'arguments', index, delta: last.delta + delta };
    } else {
      this.#events.push({ type: 'arguments', index, delta });
    }
  }

  end(complete: boolean): void {
    this.#isOpen = false;
    this.#events.push({ type: 'end', index: this.#calls - 1, complete });
  }

  /** The events since the last time. */
  take(): AnswerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}

/** The text before the first call, and all events from there on. */
export function textAndCalls(events: readonly AnswerEvent[]): { text: string; calls?: readonly AnswerEvent[] } {
  const first = events.findIndex(({ type }) => type !== 'text');
  const before = first < 0 ? events : events.slice(0, first);
  const text = before.map((event) => (event.type === 'text' ? event.text : '')).join('');
  return first < 0 ? { text } : { text, calls: events.slice(first) };
}

/** What an answer needs to know to find its calls. */
export interface OfferedTools {
  /** Of the functions that were offered; a call of another is text. */
  readonly names: ReadonlySet<string>;
  readonly newId: NewCallId;
  /** Whether an argument of a function is always a string; by default that is not known. */
  readonly isText?: (name: string, argument: string) => boolean;
}
