import type { RequestCase } from './request-case.ts';

const KEPT = 10;

export interface SlowCase {
  readonly seed: number;
  /** Of processor time. */
  readonly ms: number;
  /** Of the body. */
  readonly bytes: number;
  readonly asked: RequestCase;
}

/** The cases that took most. */
export class Slowest {
  #kept: SlowCase[] = [];

  add(seed: number, ms: number, asked: RequestCase): void {
    const last = this.#kept[KEPT - 1];
    if (last !== undefined && ms <= last.ms) return;
    const slow = { seed, ms, bytes: asked.body?.length ?? 0, asked };
    this.#kept = [...this.#kept, slow].sort((a, b) => b.ms - a.ms).slice(0, KEPT);
  }

  /** The slowest first. */
  all(): readonly SlowCase[] {
    return this.#kept;
  }
}
