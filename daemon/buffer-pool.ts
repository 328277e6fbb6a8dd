/**
 * Buffers of a few MB that are used again. Fresh ones of that size cost a page fault every 4 KiB, and stay until a garbage
 * collection that sees only their small handles.
 */
export class BufferPool {
  readonly #most: number;
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  /** @param most bytes to keep for later; what is given back beyond is let go */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns `bytes` bytes of any content */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    // A larger one serves too, but not one so large that most of it would lie idle.
    const found = this.#free.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes);
    const [buffer] = found === -1 ? [new ArrayBuffer(bytes)] : this.#free.splice(found, 1);
    if (found !== -1) this.#freeBytes -= buffer!.byteLength;
    return new Uint8Array(buffer!, 0, bytes);
  }

  /** Gives back what `take` returned; it must not be used after. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > this.#most) this.#freeBytes -= this.#free.shift()!.byteLength;
  }

  /** Lets go of what it keeps. */
  clear(): void {
    this.#free.length = 0;
    this.#freeBytes = 0;
  }
}
