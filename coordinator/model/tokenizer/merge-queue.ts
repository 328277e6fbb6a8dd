/**
 * The pairs of neighbours that may be merged, best first: a binary heap over typed arrays, so that a megabyte of one
 * letter is millions of entries and not millions of objects. Entries go stale when a neighbour changes; `stamp` lets
 * the owner tell.
 */
export class MergeQueue {
  #priority: Float64Array;
  #position: Int32Array;
  #stamp: Int32Array;
  #size = 0;

  constructor(capacity: number) {
    const room = Math.max(16, capacity);
    this.#priority = new Float64Array(room);
    this.#position = new Int32Array(room);
    this.#stamp = new Int32Array(room);
  }

  get size(): number {
    return this.#size;
  }

  /** Position of the best entry: least priority, then leftmost. Valid while size > 0. */
  get position(): number {
    return this.#position[0] as number;
  }

  /** Stamp of the best entry. */
  get stamp(): number {
    return this.#stamp[0] as number;
  }

  clear(): void {
    this.#size = 0;
  }

  push(priority: number, position: number, stamp: number): void {
    if (this.#size === this.#priority.length) this.#grow();
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#less(priority, position, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, priority, position, stamp);
  }

  /** Removes the best entry. */
  pop(): void {
    const last = --this.#size;
    if (last <= 0) return;
    const priority = this.#priority[last] as number;
    const position = this.#position[last] as number;
    const stamp = this.#stamp[last] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      const right = child + 1;
      if (right < last && this.#less(this.#priority[right] as number, this.#position[right] as number, child)) {
        child = right;
      }
      if (
        !(this.#priority[child] === priority
          ? (this.#position[child] as number) < position
          : (this.#priority[child] as number) < priority)
      ) {
        break;
      }
      this.#move(child, at);
      at = child;
    }
    this.#put(at, priority, position, stamp);
  }

  #less(priority: number, position: number, than: number): boolean {
    const other = this.#priority[than] as number;
    return priority === other ? position < (this.#position[than] as number) : priority < other;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#priority[from] as number, this.#position[from] as number, this.#stamp[from] as number);
  }

  #put(at: number, priority: number, position: number, stamp: number): void {
    this.#priority[at] = priority;
    this.#position[at] = position;
    this.#stamp[at] = stamp;
  }

  #grow(): void {
    const room = this.#priority.length * 2;
    const priority = new Float64Array(room);
    const position = new Int32Array(room);
    const stamp = new Int32Array(room);
    priority.set(this.#priority);
    position.set(this.#position);
    stamp.set(this.#stamp);
    this.#priority = priority;
    this.#position = position;
    this.#stamp = stamp;
  }
}
