import type { FinishReason } from '../../../generation/answer.ts';
import { type AnswerPiece, answerPieces } from '../../../generation/answer-pieces.ts';
import type { GenerationTimings, GenerationUsage } from '../../../generation/events.ts';
import type { CallEvent } from '../../../generation/tool-calls/call-events.ts';
import { type CollectedCall, callArguments, collectCalls } from '../../collect-calls.ts';
import type { StreamWords } from '../../text-exchange.ts';
import { ollama } from './dialect.ts';

/** What a line says of an answer: its parts, empty where there is nothing of them. */
export interface Said {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly CollectedCall[];
}

/** The fields in which a route says it. */
export type SaidFields = (said: Said) => object;

const NOTHING: Said = { text: '', thinking: '', calls: [] };

/** As POST /api/chat says it. */
export const chatFields: SaidFields = ({ text, thinking, calls }) => ({
  message: {
    role: 'assistant',
    content: text,
    ...(thinking === '' ? {} : { thinking }),
    ...(calls.length === 0
      ? {}
      : { tool_calls: calls.map(({ name, text: args }) => ({ function: { name, arguments: callArguments(args) } })) }),
  },
});

/** As POST /api/generate says it. */
export const generateFields: SaidFields = ({ text, thinking }) => ({
  response: text,
  ...(thinking === '' ? {} : { thinking }),
});

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

/** The last words of an answer. Time in the queue counts as loading. */
export function endFields(reason: FinishReason, usage: GenerationUsage, timings: GenerationTimings): object {
  const { queueMs, prefillMs, decodeMs } = timings;
  return {
    done: true,
    done_reason: reason === 'length' ? 'length' : 'stop',
    total_duration: nanoseconds(queueMs + prefillMs + decodeMs),
    load_duration: nanoseconds(queueMs),
    prompt_eval_count: usage.promptTokens,
    prompt_eval_duration: nanoseconds(prefillMs),
    eval_count: usage.completionTokens,
    eval_duration: nanoseconds(decodeMs),
  };
}

/** What pieces come to, line by line: a call is told when it is over. */
class Lines {
  readonly #calls: CallEvent[] = [];

  said(piece: AnswerPiece): Said | null {
    if (piece.type === 'text') return { ...NOTHING, text: piece.text };
    if (piece.type === 'reasoning') return { ...NOTHING, thinking: piece.text };
    this.#calls.push(piece);
    if (piece.type !== 'end') return null;
    return { ...NOTHING, calls: collectCalls(this.#calls.filter(({ index }) => index === piece.index)) };
  }
}

/**
 * An answer as lines of JSON. Every line must be an object: clients take nothing else, so that a sign of life is one
 * that says nothing.
 * @param base what every line has: the model, and when it was said
 */
export function lineStream(base: () => object, fields: SaidFields): StreamWords {
  const line = (content: object): string => `${JSON.stringify(content)}\n`;
  const part = (said: Said): string => line({ ...base(), ...fields(said), done: false });
  const lines = new Lines();
  return {
    headers: { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no' },
    opening: () => [],
    event: (event) => {
      const parts = answerPieces(event).flatMap((piece) => lines.said(piece) ?? []);
      if (event.type !== 'end') return parts.map(part);
      const end = endFields(event.finishReason, event.usage, event.timings);
      return [...parts.map(part), line({ ...base(), ...fields(NOTHING), ...end })];
    },
    closing: () => [],
    idle: () => part(NOTHING),
    failed: (error) => line(ollama.errorBody(error)),
  };
}
