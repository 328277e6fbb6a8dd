/** What a piece of text came to. */
export interface StopResult {
  /** Text that is safe to show. */
  readonly text: string;
  /** The stop sequence that is complete, so that nothing may follow; null while none is. */
  readonly stop: string | null;
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
  #stop: string | null = null;

  /** @param stops empty strings are ignored */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Takes the next piece of text. After a stop everything is swallowed. */
  push(piece: string): StopResult {
    if (this.#stop !== null) return { text: '', stop: this.#stop };
    const text = this.#held + piece;
    const first = this.#firstStop(text);
    if (first !== null) {
      this.#stop = first.stop;
      this.#held = '';
      return { text: text.slice(0, first.start), stop: first.stop };
    }
    const keep = startOfPossible(text, this.#stops);
    this.#held = text.slice(keep);
    return { text: text.slice(0, keep), stop: null };
  }

  /** The text still held back, at the end of the stream: no stop sequence came of it. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** The first stop sequence that is complete, and where it starts. */
  #firstStop(text: string): { readonly stop: string; readonly start: number } | null {
    let first: { stop: string; start: number; end: number } | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (first === null || end < first.end || (end === first.end && start < first.start)) {
        first = { stop, start, end };
      }
    }
    return first;
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
