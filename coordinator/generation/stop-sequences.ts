/** What a piece of text came to. */
export interface StopResult {
  /** Text that is safe to show. */
  readonly text: string;
  /** A stop sequence is complete: nothing may follow. */
  readonly stopped: boolean;
}

/**
 * Cuts a stream of text at the first stop sequence. Text that may turn out to be the start of one is held back, and a
 * stop sequence itself is never shown.
 *
 * "First" is the one that is complete first (of several that end at the same character, the longest), so the result
 * does not depend on how the text is cut into pieces.
 */
export class StopSequences {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  /** @param stops empty strings are ignored */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Takes the next piece of text. After a stop everything is swallowed. */
  push(piece: string): StopResult {
    if (this.#stopped) return { text: '', stopped: true };
    const text = this.#held + piece;
    const start = this.#firstStop(text);
    if (start !== null) {
      this.#stopped = true;
      this.#held = '';
      return { text: text.slice(0, start), stopped: true };
    }
    const keep = startOfPossible(text, this.#stops);
    this.#held = text.slice(keep);
    return { text: text.slice(0, keep), stopped: false };
  }

  /** The text still held back, at the end of the stream: no stop sequence came of it. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Where the first complete stop sequence starts. */
  #firstStop(text: string): number | null {
    let first: { start: number; end: number } | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (first === null || end < first.end || (end === first.end && start < first.start)) first = { start, end };
    }
    return first?.start ?? null;
  }
}

/** Where the longest end of `text` that starts some of the marks begins; its length when none does. */
export function startOfPossible(text: string, marks: readonly string[]): number {
  let earliest = text.length;
  for (const mark of marks) {
    for (let at = Math.max(0, text.length - mark.length + 1); at < earliest; at++) {
      if (mark.startsWith(text.slice(at))) {
        earliest = at;
        break;
      }
    }
  }
  return earliest;
}
