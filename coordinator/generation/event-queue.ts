/** Events that may wait for one client before its texts are paused. */
const LIMIT = 64;

interface Taker<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Events on their way from the step loop, which waits for nobody, to one client. When too many wait it says so, and
 * says again when there is room: then the loop gives the client's texts no rows meanwhile.
 */
export class EventQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #onRoom: () => void;
  readonly #onLeave: () => void;
  #events: T[] = [];
  #taker: Taker<T> | null = null;
  #end: { readonly error: Error | null } | null = null;
  #full = false;

  /** @param onRoom after `full`, when there is room again; @param onLeave when the client leaves before the end */
  constructor(onRoom: () => void, onLeave: () => void) {
    this.#onRoom = onRoom;
    this.#onLeave = onLeave;
  }

  get full(): boolean {
    return this.#full;
  }

  push(event: T): void {
    if (this.#end !== null) return;
    const taker = this.#taker;
    if (taker !== null) {
      this.#taker = null;
      taker.resolve({ done: false, value: event });
      return;
    }
    this.#events.push(event);
    if (this.#events.length >= LIMIT) this.#full = true;
  }

  /** No event follows. @param error thrown to the client once it has taken what waits, unless that is dropped */
  end(error: Error | null = null, drop = false): void {
    if (this.#end !== null) return;
    this.#end = { error };
    if (drop) this.#events = [];
    const taker = this.#taker;
    this.#taker = null;
    if (taker === null) return;
    if (error === null) taker.resolve({ done: true, value: undefined });
    else taker.reject(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const event = this.#events.shift();
    if (event !== undefined) {
      if (this.#full && this.#events.length <= LIMIT / 2) {
        this.#full = false;
        this.#onRoom();
      }
      return Promise.resolve({ done: false, value: event });
    }
    if (this.#end === null) {
      return new Promise((resolve, reject) => {
        this.#taker = { resolve, reject };
      });
    }
    const { error } = this.#end;
    this.#end = { error: null };
    return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  return(): Promise<IteratorResult<T, undefined>> {
    const left = this.#end === null;
    this.end(null, true);
    this.#events = [];
    if (left) this.#onLeave();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
