/**
 * The longest that a thread which computes or polls keeps timers and sockets waiting, in milliseconds: heartbeats are
 * answered in time.
 */
export const LONGEST_TURN_MS = 10;

/** Has tasks take turns: each begins when those that came before it have ended, well or not. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @returns what the task does */
  take<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
