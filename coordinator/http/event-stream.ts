import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { cancelledBy } from '../generation/cancellation.ts';
import { errorBody, logError } from './error-response.ts';
import type { RequestScope } from './request-scope.ts';

export interface EventStreamOptions {
  readonly scope: RequestScope;
  readonly log: Logger;
  /** A comment is sent when nothing else was for this long, so that proxies and clients keep the connection open. */
  readonly keepAliveMs: number;
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
 * A body of server-sent events as OpenAI's API sends them: `data: {json}` each, `data: [DONE]` at the end; an error on
 * the way is an event with an `error` object and the end of the stream. Disposes of the scope.
 */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { scope, log, keepAliveMs, stalledClientMs, produce } = options;
  const encoder = new TextEncoder();
  let isGone = false;
  let isQuiet = true;
  let onRoom: (() => void) | null = null;

  const run = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const hasRoom = (): boolean => (controller.desiredSize ?? 0) > 0;
    const write = (text: string): void => {
      if (isGone) return;
      isQuiet = false;
      controller.enqueue(encoder.encode(text));
    };
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
    const keepAlive = setInterval(() => {
      if (isQuiet && hasRoom()) write(': keep-alive\n\n');
      isQuiet = true;
    }, keepAliveMs);

    try {
      await produce(send);
      write('data: [DONE]\n\n');
    } catch (thrown) {
      const error = scope.signal.aborted ? cancelledBy(scope.signal) : toStarlingError(thrown);
      if (!isGone) logError(log, error, 'event stream');
      write(`data: ${JSON.stringify(errorBody(error))}\n\n`);
    } finally {
      clearInterval(keepAlive);
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
