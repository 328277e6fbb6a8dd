import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { cancelledBy } from '../generation/cancellation.ts';
import { errorBody, logError } from './error-response.ts';
import type { RequestScope } from './request-scope.ts';
import { Silence, type SilenceClock } from './silence.ts';

export interface EventStreamOptions {
  readonly scope: RequestScope;
  readonly log: Logger;
  /** When nothing was sent for this long, a sign of life is, so that proxies and clients keep the connection open. */
  readonly keepAliveMs: number;
  /** An event that says nothing, for a sign of life; null when there is none to send. */
  readonly idleEvent: () => unknown;
  /** Measures the silence; the system's clock by default. */
  readonly clock?: SilenceClock;
  /** A client that takes nothing for this long is given up, so that it cannot hold up those who wait. */
  readonly stalledClientMs: number;
  /** Sends the events, in order; `send` settles when the client has room for more and rejects when the request is over. */
  readonly produce: (send: (data: unknown) => Promise<void>) => Promise<void>;
}

export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache',
  'X-Accel-Buffering': 'no',
};

/** Bytes that may wait for the socket before the producer has to. */
const BUFFER_BYTES = 64 * 1024;

/**
 * The bytes of a sign of life: a comment, and an event that says nothing. Neither would do alone in every reader. Some take every
 * blank line for the end of an event and fail on one that ends a comment only; others split at blank lines and look only at what
 * begins with `data:`, so that they would lose the event that a comment without a blank line stands before: here it is one that
 * nobody misses.
 */
export function signOfLife(idleEvent: unknown): string {
  return `: keep-alive\ndata: ${JSON.stringify(idleEvent)}\n\n`;
}

/**
 * A body of server-sent events as OpenAI's API sends them: `data: {json}` each, `data: [DONE]` at the end; an error on
 * the way is an event with an `error` object and the end of the stream. Disposes of the scope.
 */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { scope, log, keepAliveMs, stalledClientMs, produce, idleEvent } = options;
  const encoder = new TextEncoder();
  let isGone = false;
  let onRoom: (() => void) | null = null;

  const run = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const hasRoom = (): boolean => (controller.desiredSize ?? 0) > 0;
    const write = (text: string): void => {
      if (isGone) return;
      silence.broken();
      controller.enqueue(encoder.encode(text));
    };
    const sayAlive = (): void => {
      const event = hasRoom() ? idleEvent() : null;
      if (event !== null) write(signOfLife(event));
    };
    const silence = new Silence(keepAliveMs, sayAlive, options.clock);
    const send = async (data: unknown): Promise<void> => {
      scope.signal.throwIfAborted();
      write(`data: ${JSON.stringify(data)}\n\n`);
      if (!hasRoom()) await room();
    };
    const room = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          clearTimeout(timer);
          scope.signal.removeEventListener('abort', settle);
          onRoom = null;
          if (scope.signal.aborted) reject(cancelledBy(scope.signal));
          else resolve();
        };
        const timer = setTimeout(() => {
          const message = `the client has read nothing for ${stalledClientMs} ms, so its answer was given up`;
          scope.abort(new StarlingError('cancelled', message));
        }, stalledClientMs);
        scope.signal.addEventListener('abort', settle, { once: true });
        onRoom = settle;
      });

    try {
      await produce(send);
      write('data: [DONE]\n\n');
    } catch (thrown) {
      const error = scope.signal.aborted ? cancelledBy(scope.signal) : toStarlingError(thrown);
      if (!isGone) logError(log, error, 'event stream');
      write(`data: ${JSON.stringify(errorBody(error))}\n\n`);
    } finally {
      silence.stop();
      if (!isGone) controller.close();
      scope.dispose();
    }
  };

  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => void run(controller),
      pull: () => onRoom?.(),
      cancel: (reason) => {
        isGone = true;
        scope.abort(reason);
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BUFFER_BYTES }),
  );
}
