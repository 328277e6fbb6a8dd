import type { GenerationUsage } from '../../../generation/events.ts';
import { EVENT_STREAM_HEADERS, serverSentEvent } from '../../server-sent-events.ts';
import type { ChoiceEvent, StreamWords } from '../../text-exchange.ts';
import { openai } from './dialect.ts';
import { type UsageBody, usageBody } from './usage.ts';

/** The chunks of a stream, each a JSON object. */
export interface Chunks {
  readonly opening: () => object[];
  readonly event: (event: ChoiceEvent) => object[];
  /** One that adds nothing to a choice. */
  readonly idle: (choice: number) => object;
  /** The last one, with the usage; null where nobody asked for it. */
  readonly usage: ((usage: UsageBody) => object) | null;
}

/**
 * Chunks as server-sent events: `data: {json}` each, `data: [DONE]` at the end; an error on the way is an event with an
 * `error` object and the end of the stream.
 */
export function chunkStream({ opening, event, idle, usage }: Chunks): StreamWords {
  const framed = (chunks: readonly object[]): string[] => chunks.map((chunk) => serverSentEvent(chunk));
  return {
    headers: EVENT_STREAM_HEADERS,
    opening: () => framed(opening()),
    event: (each) => framed(event(each)),
    closing: (total: GenerationUsage) => [
      ...(usage === null ? [] : framed([usage(usageBody(total))])),
      'data: [DONE]\n\n',
    ],
    idle: (choice) => signOfLife(serverSentEvent(idle(choice))),
    failed: (error) => serverSentEvent(openai.errorBody(error)),
  };
}

/**
 * The bytes of a sign of life: a comment, and an event that says nothing. Neither would do alone in every reader. Some
 * take every blank line for the end of an event and fail on one that ends a comment only; others split at blank lines
 * and look only at what begins with `data:`, so that they would lose the event that a comment without a blank line
 * stands before: here it is one that nobody misses.
 */
export function signOfLife(event: string): string {
  return `: keep-alive\n${event}`;
}
