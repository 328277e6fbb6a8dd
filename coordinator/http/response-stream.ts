import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { cancelledBy } from '../generation/cancellation.ts';
import { logError } from './log-error.ts';
import type { RequestScope } from './request-scope.ts';
import { Silence, type SilenceClock } from './silence.ts';

export interface ResponseStreamOptions {
  readonly scope: RequestScope;
  readonly log: Logger;
  /** When nothing was sent for this long, a sign of life is, so that proxies and clients keep the connection open. */
  readonly keepAliveMs: number;
  /** A sign of life; null when there is none to send. */
  readonly signOfLife: () => string | null;
  /** Measures the silence; the system's clock by default. */
  readonly clock?: SilenceClock;
  /** A client that takes nothing for this long is given up, so that it cannot hold up those who wait. */
  readonly stalledClientMs: number;
  /**
   * Sends what there is to say, framed; `send` settles when the client has room for more and rejects when the request
   * is over.
   */
  readonly produce: (send: (text: string) => Promise<void>) => Promise<void>;
  /** The last that is said, framed, where something goes wrong on the way. */
  readonly failed: (error: StarlingError) => string;
}

/** Bytes that may wait for the socket before the producer has to. */
const BUFFER_BYTES = 64 * 1024;

/** A body that comes piece by piece. Disposes of the scope. */
export function responseStream(options: ResponseStreamOptions): ReadableStream<Uint8Array> {
  const { scope, log, keepAliveMs, stalledClientMs, produce, signOfLife, failed } = options;
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
      const sign = hasRoom() ? signOfLife() : null;
      if (sign !== null) write(sign);
    };
    const silence = new Silence(keepAliveMs, sayAlive, options.clock);
    const send = async (text: string): Promise<void> => {
      scope.signal.throwIfAborted();
      write(text);
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
    } catch (thrown) {
      const error = scope.signal.aborted ? cancelledBy(scope.signal) : toStarlingError(thrown);
      if (!isGone) logError(log, error, 'stream');
      write(failed(error));
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
