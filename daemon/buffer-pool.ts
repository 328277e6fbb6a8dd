/**
 * Buffers of a few MB that are used again. Fresh ones of that size cost a page fault every 4 KiB, and stay until a
 * garbage collection that sees only their small handles.
 */
export class BufferPool {
  readonly #most: number;
  readonly #free: ArrayBuffer[] = [];
  #bytes = 0;

  /** @param most bytes to hold, those in use included; with more in use, nothing is kept for later */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns `bytes` bytes of any content */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    // The latest, which may still be in a cache. A larger one serves too, but not if most of it would lie idle.
    const found = this.#free.findLastIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes);
    if (found !== -1) return new Uint8Array(this.#free.splice(found, 1)[0]!, 0, bytes);
    this.#bytes += bytes;
    this.#shrink();
    return new Uint8Array(bytes);
  }

  /** Gives back what `take` returned; it must not be used after. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
    this.#shrink();
  }

  /** Lets go of what it keeps. */
  clear(): void {
    for (const { byteLength } of this.#free.splice(0)) this.#bytes -= byteLength;
  }

  /** Lets go of what was given back longest ago. */
  #shrink(): void {
    while (this.#bytes > this.#most && this.#free.length > 0) this.#bytes -= this.#free.shift()!.byteLength;
  }
}
