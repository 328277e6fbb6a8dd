/**
 * A device's tiles that pass through a ring of slots: its disk reads the next one as soon as there is a slot, whatever
 * is computed meanwhile, and goes round with each pass.
 */
export class TileRing {
  readonly #slots: number;
  readonly #readMs: (bytes: number) => number;
  /** When the slots were left by the tiles that were in them last. */
  readonly #leftAt: number[];
  /** When the last tile was there, and how many were read. */
  #readAt = 0;
  #read = 0;

  /** @param readMs milliseconds of a read of so many bytes; asked once for each */
  constructor(slots: number, readMs: (bytes: number) => number) {
    this.#slots = slots;
    this.#readMs = readMs;
    this.#leftAt = Array.from({ length: slots }, () => 0);
  }

  /**
   * Computes the tiles of a phase, one after the other.
   * @param start milliseconds
   * @param ms of computing in all
   * @param tiles in their order: bytes of one that is read, 0 of one that stays in memory
   * @returns when the last one is done
   */
  compute(start: number, ms: number, tiles: readonly number[]): number {
    const each = ms / tiles.length;
    let now = start;
    for (const bytes of tiles) {
      if (bytes === 0) {
        now += each;
        continue;
      }
      const slot = this.#read++ % this.#slots;
      this.#readAt = Math.max(this.#readAt, this.#leftAt[slot]!) + this.#readMs(bytes);
      now = Math.max(now, this.#readAt) + each;
      this.#leftAt[slot] = now;
    }
    return now;
  }
}
