/** The clock and timers of a silence; a test hands in its own. */
export interface SilenceClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls `action` once after `ms`, unless the returned function is called first. */
  after(ms: number, action: () => void): () => void;
}

export const systemClock: SilenceClock = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};

/** Tells each time that nothing has happened for a while; what happens starts the while anew. */
export class Silence {
  readonly #periodMs: number;
  readonly #onSilence: () => void;
  readonly #clock: SilenceClock;
  #since: number;
  #cancel: () => void;

  /** @param onSilence after every `periodMs` in which `broken` was not called */
  constructor(periodMs: number, onSilence: () => void, clock: SilenceClock = systemClock) {
    this.#periodMs = periodMs;
    this.#onSilence = onSilence;
    this.#clock = clock;
    this.#since = clock.now();
    this.#cancel = clock.after(periodMs, () => this.#look());
  }

  /** Something happened. Cheap: the timer is not set anew, but looks back when it ends. */
  broken(): void {
    this.#since = this.#clock.now();
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    const now = this.#clock.now();
    let left = this.#since + this.#periodMs - now;
    if (left <= 0) {
      this.#since = now;
      left = this.#periodMs;
      this.#onSilence();
    }
    this.#cancel = this.#clock.after(left, () => this.#look());
  }
}
