/** Bounds the bytes that are under way at a time. */
export class ByteWindow {
  readonly #bytes: number;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Resolves, with the bytes counted, when they fit; more than the whole window fit when nothing else is under way. */
  async enter(bytes: number): Promise<void> {
    while (this.#underWay > 0 && this.#underWay + bytes > this.#bytes) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#underWay += bytes;
  }

  /** To be called once for each `enter`. */
  leave(bytes: number): void {
    this.#underWay -= bytes;
    const resumed = this.#waiting;
    this.#waiting = [];
    for (const resume of resumed) resume();
  }
}
