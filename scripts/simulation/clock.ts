interface Event {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

/** Simulated time: what is due happens in its order, and at the same moment in the order in which it was asked for. */
export class Clock {
  /** Milliseconds since the beginning. */
  now = 0;
  /** A heap: each event is due no later than the two below it. */
  readonly #heap: Event[] = [];
  #asked = 0;

  /** @param at milliseconds, not before now */
  at(at: number, action: () => void): void {
    const event = { at: Math.max(at, this.now), order: this.#asked++, action };
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!isBefore(event, heap[above]!)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = event;
  }

  /** Until nothing is due any more. */
  run(): void {
    for (let event = this.#take(); event !== null; event = this.#take()) {
      this.now = event.at;
      event.action();
    }
  }

  #take(): Event | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (!isBefore(heap[below]!, last)) break;
      heap[place] = heap[below]!;
      place = below;
    }
    heap[place] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** What serves one after the other, in the order of asking: a processor, a direction of a link, the air of a Wi-Fi. */
export class SerialResource {
  /** Milliseconds in which it served. */
  busyMs = 0;
  #freeAt = 0;

  /** @returns when it will have served for so many milliseconds, asked at `now` */
  take(now: number, ms: number): number {
    this.busyMs += ms;
    this.#freeAt = Math.max(this.#freeAt, now) + ms;
    return this.#freeAt;
  }
}
