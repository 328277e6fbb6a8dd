import { setImmediate as nextTurn } from 'node:timers/promises';
import { LONGEST_TURN_MS } from '../turns.ts';

/** Something that can be asked whether anything has come, without waiting for the event loop. */
export interface Polled {
  /** False where only the event loop reads. */
  readonly polls: boolean;
  /** Takes what has come. */
  poll(): void;
}

/** One wait. */
export interface Wait {
  /**
   * Polls until something is done, or until it is late.
   * @param done whether it is; may become true by what `sources` deliver, or by promises that settle
   */
  until(done: () => boolean, sources: readonly Polled[]): Promise<void>;
  /** To be called when what was waited for has come, so that its length is known. */
  end(): void;
}

/** What a poller has of its process; a test hands in its own. */
export interface PollerClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Lets timers and sockets have their turn. */
  turn(): Promise<unknown>;
}

const systemClock: PollerClock = { now: () => performance.now(), turn: () => nextTurn() };

/**
 * Waits that are expected to last longer are slept through: being woken late, some 0.05 to 0.1 ms, is then a small part
 * of them.
 */
const LONGEST_POLL_MS = 5;
/**
 * What a wait may take beyond twice what is expected before the thread goes to sleep: somebody else may want the core.
 */
const LATE_MS = 0.2;
/** A step that was given up is not waited for: of a longer wait, so much counts. */
const LONGEST_COUNTED_MS = 10;
/** Weight of the latest wait in what is expected. */
const RATE = 0.25;
const EXPECTED_AT_FIRST_MS = 0.5;

/**
 * Waits for what is about to come without going to sleep, since a sleeping process is woken late. Never without bound:
 * it polls only as long as waits of that kind have lately taken, and leaves longer ones to the event loop.
 */
export class Poller {
  readonly #clock: PollerClock;
  readonly #expected = new Map<number, number>();
  #turned: number;

  constructor(clock: PollerClock = systemClock) {
    this.#clock = clock;
    this.#turned = clock.now();
  }

  /** Begins a wait. @param kind its length is expected to be like that of others of the kind */
  begin(kind: number): Wait {
    const clock = this.#clock;
    const begun = clock.now();
    const expected = this.#expected.get(kind) ?? EXPECTED_AT_FIRST_MS;
    const limit = expected > LONGEST_POLL_MS ? 0 : Math.min(LONGEST_POLL_MS, 2 * expected + LATE_MS);
    return {
      until: async (done, sources) => {
        // Where the event loop reads, it must have its turn at once.
        const mute = sources.some(({ polls }) => !polls);
        for (let now = begun; !done() && now - begun <= limit; now = clock.now()) {
          for (const source of sources) source.poll();
          if (mute || now - this.#turned > LONGEST_TURN_MS) {
            await clock.turn();
            this.#turned = clock.now();
          } else {
            // What was delivered may have settled promises.
            await undefined;
          }
        }
      },
      end: () => {
        const took = Math.min(clock.now() - begun, LONGEST_COUNTED_MS);
        this.#expected.set(kind, expected + RATE * (took - expected));
      },
    };
  }
}
