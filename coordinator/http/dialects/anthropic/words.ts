import type { AnswerEnd, FinishReason } from '../../../generation/answer.ts';
import { type AnswerPiece, answerPieces } from '../../../generation/answer-pieces.ts';
import type { GenerationUsage } from '../../../generation/events.ts';
import { callArguments, collectCalls } from '../../collect-calls.ts';
import { EVENT_STREAM_HEADERS, serverSentEvent } from '../../server-sent-events.ts';
import type { FinishedChoice, StreamWords } from '../../text-exchange.ts';
import { anthropic } from './dialect.ts';

const STOP_REASONS: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
};

/** Why an answer is over. A stop text that ended one with calls says nothing: its client has the calls to make. */
function stopOf({ finishReason, stopText }: Pick<AnswerEnd, 'finishReason' | 'stopText'>) {
  const isSequence = finishReason === 'stop' && stopText !== undefined;
  return isSequence
    ? { stop_reason: 'stop_sequence', stop_sequence: stopText }
    : { stop_reason: STOP_REASONS[finishReason], stop_sequence: null };
}

/** Tokens of the prompt that were computed before are counted apart. */
function usageBody({ promptTokens, cachedTokens, completionTokens }: GenerationUsage): object {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  };
}

/** What every message has. */
export interface MessageHead {
  readonly id: string;
  readonly model: string;
}

const head = ({ id, model }: MessageHead): object => ({ id, type: 'message', role: 'assistant', model });

/** A whole message. */
export function messageBody(of: MessageHead, answer: FinishedChoice, usage: GenerationUsage): object {
  const { text, reasoning, calls } = answer;
  return {
    ...head(of),
    content: [
      ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
      ...(text === '' ? [] : [{ type: 'text', text }]),
      ...collectCalls(calls).map(({ id, name, text: args }) => ({
        type: 'tool_use',
        id,
        name,
        input: callArguments(args),
      })),
    ],
    ...stopOf(answer),
    usage: usageBody(usage),
  };
}

type Event = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Takes the pieces of an answer apart into content blocks: each begins, grows and stops before the next one begins. */
class ContentBlocks {
  /** Kind of the block that is open: a kind of piece, or a call by its number. */
  #open: string | null = null;
  #index = -1;

  events(piece: AnswerPiece): Event[] {
    switch (piece.type) {
      case 'reasoning':
        return [
          ...this.#begin('reasoning', { type: 'thinking', thinking: '', signature: '' }),
          this.#delta({ type: 'thinking_delta', thinking: piece.text }),
        ];
      case 'text':
        return [
          ...this.#begin('text', { type: 'text', text: '' }),
          this.#delta({ type: 'text_delta', text: piece.text }),
        ];
      case 'begin':
        return this.#begin(`call ${piece.index}`, { type: 'tool_use', id: piece.id, name: piece.name, input: {} });
      case 'arguments':
        return [this.#delta({ type: 'input_json_delta', partial_json: piece.delta })];
      case 'end':
        return this.end();
    }
  }

  end(): Event[] {
    if (this.#open === null) return [];
    this.#open = null;
    return [{ type: 'content_block_stop', index: this.#index }];
  }

  #begin(kind: string, content_block: object): Event[] {
    if (this.#open === kind) return [];
    const before = this.end();
    this.#open = kind;
    this.#index++;
    return [...before, { type: 'content_block_start', index: this.#index, content_block }];
  }

  #delta(delta: object): Event {
    return { type: 'content_block_delta', index: this.#index, delta };
  }
}

/** A message as named events. */
export function messageStream(of: MessageHead): StreamWords {
  const framed = (events: readonly Event[]): string[] => events.map((event) => serverSentEvent(event, event.type));
  const blocks = new ContentBlocks();
  let stop = stopOf({ finishReason: 'stop' });
  return {
    headers: EVENT_STREAM_HEADERS,
    opening: (promptTokens) => {
      const usage = usageBody({ promptTokens, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 });
      const message = { ...head(of), content: [], stop_reason: null, stop_sequence: null, usage };
      return framed([{ type: 'message_start', message }]);
    },
    event: (event) => {
      if (event.type === 'end') stop = stopOf(event);
      return framed(answerPieces(event).flatMap((piece) => blocks.events(piece)));
    },
    closing: (usage) => {
      const end = { type: 'message_delta', delta: stop, usage: usageBody(usage) };
      return framed([...blocks.end(), end, { type: 'message_stop' }]);
    },
    idle: () => serverSentEvent({ type: 'ping' }, 'ping'),
    failed: (error) => serverSentEvent(anthropic.errorBody(error), 'error'),
  };
}
