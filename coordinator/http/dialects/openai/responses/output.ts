import type { AnswerPiece } from '../../../../generation/answer-pieces.ts';
import {
  type ItemStatus,
  type NewItemId,
  type OutputItem,
  type OutputText,
  outputText,
  type ReasoningText,
} from './items.ts';

/** An event of a stream, without its number. */
export type ResponseEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

/** An item that is being written. */
type OpenItem = { readonly id: string; text: string; readonly logprobs: object[] } & (
  | { readonly kind: 'reasoning' | 'message' }
  | { readonly kind: 'call'; readonly callId: string; readonly name: string }
);

/** What the events of an item's text begin with. */
const TEXT_EVENTS = {
  reasoning: 'response.reasoning_text',
  message: 'response.output_text',
  call: 'response.function_call_arguments',
};

/**
 * Takes the pieces of an answer apart into items: each is added, grows and is done before the next one is added. Log
 * probabilities of tokens are those of the text of messages; reasoning and calls have none.
 */
export class ResponseOutput {
  readonly #newId: NewItemId;
  readonly #items: OutputItem[] = [];
  #open: OpenItem | null = null;
  /** Of tokens whose text is not certain yet. */
  #pending: object[] = [];

  constructor(newId: NewItemId) {
    this.#newId = newId;
  }

  /** Those that are done. */
  get items(): readonly OutputItem[] {
    return this.#items;
  }

  /**
   * @param pieces that one token, or the end, made certain
   * @param logprobs of that token, where they are asked for
   */
  take(pieces: readonly AnswerPiece[], logprobs: object | null): ResponseEvent[] {
    if (logprobs !== null) this.#pending.push(logprobs);
    return pieces.flatMap((piece) => this.#take(piece));
  }

  /** The answer is over. @param status of an item that is open */
  end(status: ItemStatus): ResponseEvent[] {
    if (this.#open?.kind === 'message') this.#open.logprobs.push(...this.#pending);
    return this.#close(status);
  }

  #close(status: ItemStatus): ResponseEvent[] {
    const open = this.#open;
    if (open === null) return [];
    const place = this.#place(open);
    const item = itemOf(open, status);
    this.#open = null;
    this.#items.push(item);
    const { output_index } = place;
    return [...textDone(open, place), { type: 'response.output_item.done', output_index, item }];
  }

  #take(piece: AnswerPiece): ResponseEvent[] {
    switch (piece.type) {
      case 'reasoning':
        this.#pending = [];
        return [...this.#beginText('reasoning'), this.#grow(piece.text)];
      case 'text':
        return [...this.#beginText('message'), this.#grow(piece.text)];
      case 'begin': {
        const { id: callId, name } = piece;
        this.#pending = [];
        return this.#begin({ kind: 'call', id: this.#newId('fc'), callId, name, text: '', logprobs: [] });
      }
      case 'arguments':
        return [this.#grow(piece.delta)];
      case 'end':
        return this.#close(piece.complete ? 'completed' : 'incomplete');
    }
  }

  #beginText(kind: 'reasoning' | 'message'): ResponseEvent[] {
    if (this.#open?.kind === kind) return [];
    // After an item, all but the token that brings the text are marks and space between the two.
    if (this.#open !== null || this.#items.length > 0) this.#pending = this.#pending.slice(-1);
    const open = { kind, id: this.#newId(kind === 'message' ? 'msg' : 'rs'), text: '', logprobs: [] };
    return [...this.#begin(open), { type: 'response.content_part.added', ...this.#place(open), part: partOf(open) }];
  }

  #begin(open: OpenItem): ResponseEvent[] {
    const before = this.#close('completed');
    this.#open = open;
    const item = { ...itemOf(open, 'in_progress'), ...(open.kind === 'call' ? {} : { content: [] }) };
    return [...before, { type: 'response.output_item.added', output_index: this.#items.length, item }];
  }

  #grow(delta: string): ResponseEvent {
    const open = this.#open!;
    open.text += delta;
    const event = { type: `${TEXT_EVENTS[open.kind]}.delta`, ...this.#place(open), delta };
    const logprobs = this.#pending;
    this.#pending = [];
    if (open.kind !== 'message') return event;
    open.logprobs.push(...logprobs);
    return { ...event, logprobs };
  }

  /** Where an item that is not in the list yet will be, and of its text the only part. */
  #place({ id, kind }: OpenItem): Place {
    return { item_id: id, output_index: this.#items.length, ...(kind === 'call' ? {} : { content_index: 0 }) };
  }
}

interface Place {
  readonly item_id: string;
  readonly output_index: number;
  readonly content_index?: number;
}

function partOf({ kind, text, logprobs }: OpenItem): OutputText | ReasoningText {
  return kind === 'reasoning' ? { type: 'reasoning_text', text } : outputText(text, logprobs);
}

function itemOf(open: OpenItem, status: ItemStatus): OutputItem {
  const { id, text } = open;
  switch (open.kind) {
    case 'reasoning':
      return { id, type: 'reasoning', status, summary: [], content: [{ type: 'reasoning_text', text }] };
    case 'message':
      return { id, type: 'message', role: 'assistant', status, content: [outputText(text, open.logprobs)] };
    case 'call':
      return { id, type: 'function_call', call_id: open.callId, name: open.name, arguments: text, status };
  }
}

function textDone(open: OpenItem, place: Place): ResponseEvent[] {
  const type = `${TEXT_EVENTS[open.kind]}.done`;
  const { text } = open;
  if (open.kind === 'call') return [{ type, ...place, name: open.name, arguments: text }];
  const part = partOf(open);
  const logprobs = open.kind === 'message' ? { logprobs: open.logprobs } : {};
  return [
    { type, ...place, text, ...logprobs },
    { type: 'response.content_part.done', ...place, part },
  ];
}
