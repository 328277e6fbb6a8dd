const KEPT = 10;

export interface SlowCase {
  readonly seed: number;
  readonly ms: number;
  /** Of the body. */
  readonly bytes: number;
  /** The beginning of the request, or of the body and where it goes. */
  readonly asked: string;
}

/** The cases that took most. */
export class Slowest {
  #kept: SlowCase[] = [];

  add(slow: SlowCase): void {
    const last = this.#kept[KEPT - 1];
    if (last !== undefined && slow.ms <= last.ms) return;
    this.#kept = [...this.#kept, slow].sort((a, b) => b.ms - a.ms).slice(0, KEPT);
  }

  /** The slowest first. */
  all(): readonly SlowCase[] {
    return this.#kept;
  }
}
