/**
 * The ids of the `count` largest values, largest first, the lower id first among equals. NaN and -Infinity are never
 * selected, so fewer may come back.
 *
 * A heap of `count` entries with its worst on top: one comparison for almost every value, so the work is about that of
 * one pass as long as `count` is small beside the vocabulary.
 * @param values f32, any length
 */
export function selectTop(values: Float32Array, count: number): Int32Array {
  const heap = new Int32Array(Math.max(0, Math.min(count, values.length)));
  let size = 0;
  if (heap.length === 0) return heap;

  const isWorse = (a: number, b: number): boolean => {
    const difference = values[a]! - values[b]!;
    // Two infinities leave NaN here: equal, so the ids decide.
    return difference < 0 || (!(difference > 0) && a > b);
  };
  const siftDown = (id: number): void => {
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && isWorse(heap[child + 1]!, heap[child]!)) child++;
      if (!isWorse(heap[child]!, id)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = id;
  };
  const siftUp = (id: number): void => {
    let hole = size++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (!isWorse(id, heap[parent]!)) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = id;
  };

  let worst = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < values.length; id++) {
    // Almost all fours are passed over at once, which takes half the time.
    while (id + 4 <= values.length && !holdsAbove(values, id, worst)) id += 4;
    // False for NaN, and for an equal value later on, which loses to the lower id.
    if (!(values[id]! > worst)) continue;
    if (size < heap.length) {
      siftUp(id);
      if (size < heap.length) continue;
    } else {
      siftDown(id);
    }
    worst = values[heap[0]!]!;
  }

  const selected = new Int32Array(size);
  while (size > 0) {
    const top = heap[0]!;
    selected[--size] = top;
    if (size > 0) siftDown(heap[size]!);
  }
  return selected;
}

/** Whether one of the four values from `id` on is above `least`. */
function holdsAbove(values: Float32Array, id: number, least: number): boolean {
  return values[id]! > least || values[id + 1]! > least || values[id + 2]! > least || values[id + 3]! > least;
}

/** The id of the largest value, the lowest on a tie; -1 when every value is NaN or -Infinity. */
export function argmax(values: Float32Array): number {
  let best = -1;
  let bestValue = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < values.length; id++) {
    if (values[id]! > bestValue) {
      bestValue = values[id]!;
      best = id;
    }
  }
  return best;
}
