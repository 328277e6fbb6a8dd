import { StarlingError } from '../../daemon/errors.ts';
import { cancelledBy } from './cancellation.ts';

/** A place in the queue. */
export interface Ticket {
  /** Settles when it is this request's turn; rejects (cancelled) when it left the queue before. */
  readonly turn: Promise<void>;
  /** Gives the turn, or the place, back. Must be called exactly when the request is over; again does nothing. */
  release(): void;
}

interface Waiting {
  readonly admit: () => void;
  readonly refuse: (error: StarlingError) => void;
}

export const DEFAULT_QUEUE_LIMIT = 64;

/** Lets one request at a time through, in the order of arrival. */
export class RequestQueue {
  readonly #limit: number;
  readonly #waiting = new Set<Waiting>();
  #busy = false;
  #stopped = false;

  /** @param options.limit most requests that may wait; more are refused, so that no client waits for hours unknowingly */
  constructor(options: { limit?: number } = {}) {
    this.#limit = options.limit ?? DEFAULT_QUEUE_LIMIT;
  }

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Requests that have their turn: 0 or 1. */
  get running(): number {
    return this.#busy ? 1 : 0;
  }

  /**
   * Takes a place in the queue.
   * @param signal leaves the queue at once when it aborts while waiting; it does not end a turn
   * @throws StarlingError queue_full when too many wait; cancelled when `signal` has aborted or the queue has stopped
   */
  join(signal?: AbortSignal): Ticket {
    if (this.#stopped) throw new StarlingError('cancelled', 'the server is stopping; ask again when it is back');
    if (signal?.aborted) throw cancelledBy(signal);
    if (!this.#busy) {
      this.#busy = true;
      return { turn: Promise.resolve(), release: once(() => this.#next()) };
    }
    if (this.#waiting.size >= this.#limit) {
      throw new StarlingError(
        'queue_full',
        `${this.#waiting.size} requests are waiting already, which is the limit; try again later`,
      );
    }
    return this.#wait(signal);
  }

  /** Refuses all who wait and all who come later. The request that has its turn keeps it. */
  stop(): void {
    this.#stopped = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of waiting) {
      entry.refuse(new StarlingError('cancelled', 'the server stopped before it was this request’s turn'));
    }
  }

  #wait(signal: AbortSignal | undefined): Ticket {
    let isAdmitted = false;
    let leave = (): void => {};
    const turn = new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(entry);
        entry.refuse(cancelledBy(signal));
      };
      const entry: Waiting = {
        admit: () => {
          signal?.removeEventListener('abort', onAbort);
          isAdmitted = true;
          resolve();
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      leave = () => {
        if (this.#waiting.delete(entry)) entry.refuse(new StarlingError('cancelled', 'the request left the queue'));
      };
      this.#waiting.add(entry);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    // A request that is gone may never look at its turn again.
    turn.catch(() => {});
    return { turn, release: once(() => (isAdmitted ? this.#next() : leave())) };
  }

  #next(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#busy = false;
      return;
    }
    this.#waiting.delete(next);
    next.admit();
  }
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
