import { spinWhile } from './control-block.ts';

/**
 * What compute threads, readers and the thread that drives them share about the ring of slots.
 *
 * A **ticket** is one use of one streamed tile: ticket t is the tile at place t mod `streamed` of the stream, for the
 * (t div `streamed`)-th token, and goes to slot t mod `slots`. A slot's word counts: for its g-th ticket it is 2g while
 * a reader may fill it, 2g + 1 from when the tile has arrived until it has been computed, and then 2g + 2. Words wrap
 * around and are compared for equality only.
 *
 * Tiles of experts are read only where a phase uses them, which is known when it begins: a reader that has such a
 * ticket waits until then, and gives its slot on where it is not used. What comes before in the stream has been taken
 * by then, so none waits for it.
 */
export interface WindowShared {
  readonly streamed: number;
  readonly slots: number;
  readonly words: Int32Array;
  /** The next ticket that a reader takes; tickets before the floor are not read; bytes read so far. */
  readonly counters: BigInt64Array;
  /** Of each tile of the device: whether its checksum is known, and its CRC-32. */
  readonly checksums: Int32Array;
  /**
   * Of each streamed tile: ALWAYS, or for which token it was last chosen or not: 2 · its mark, plus one where it was.
   */
  readonly choices: Int32Array;
}

/** A tile that every pass uses. */
const ALWAYS = -1;

const WORD = { stop: 0, failed: 1, cycle: 2, choosing: 3, slots: 4 } as const;
const COUNTER = { next: 0, floor: 1, bytesRead: 2 } as const;

/**
 * @param chosen by place in the stream: whether a tile is used by some passes only
 * @param tiles of the device, streamed or not
 */
export function createWindowShared(
  chosen: readonly boolean[],
  tiles: number,
  slots: number,
  readers: number,
): WindowShared {
  const streamed = chosen.length;
  const int32 = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(count * 4));
  const choices = int32(streamed);
  for (const [place, each] of chosen.entries()) choices[place] = each ? 0 : ALWAYS;
  return {
    streamed,
    slots,
    words: int32(WORD.slots + slots + readers),
    counters: new BigInt64Array(new SharedArrayBuffer(3 * 8)),
    checksums: int32(2 * tiles),
    choices,
  };
}

/** What a reader is told about a tile that it could not read. */
export const REPAIR = { waiting: 0, mended: 1, lost: 2 } as const;

/** One thread's hold on the ring. */
export class WindowWords {
  readonly #shared: WindowShared;
  /** For the driving thread: the ticket that is computed next. */
  #due = 0;

  constructor(shared: WindowShared) {
    this.#shared = shared;
  }

  get bytesRead(): number {
    return Number(Atomics.load(this.#shared.counters, COUNTER.bytesRead));
  }

  /** Whether a tile could not be had: it is then announced as arrived, and what is in its slot is not to be used. */
  get failed(): boolean {
    return Atomics.load(this.#shared.words, WORD.failed) !== 0;
  }

  // The driving thread.

  /**
   * To be called before the tiles of a phase are computed: lets go of what was read ahead for phases that are not
   * computed after all, as when a step was given up.
   * @param place of the phase's first streamed tile, and @param count how many it has
   * @param chosen which of them it uses, where that is not all
   */
  beginPhase(place: number, count: number, chosen: ReadonlySet<number> | null = null): void {
    const { streamed, words, counters, choices } = this.#shared;
    const skipped = (place - (this.#due % streamed) + streamed) % streamed;
    if (skipped > 0) {
      const target = this.#due + skipped;
      // Before the slots are looked at: a reader looks at the floor after it has filled one.
      Atomics.store(counters, COUNTER.floor, BigInt(target));
      for (let ticket = this.#due; ticket < target; ticket++) this.#drop(ticket);
      this.#due = target;
    }
    Atomics.store(words, WORD.cycle, Math.floor(this.#due / streamed) | 0);
    if (chosen !== null) {
      const mark = 2 * this.#mark(this.#due);
      for (let each = place; each < place + count; each++)
        Atomics.store(choices, each, mark + (chosen.has(each) ? 1 : 0));
    }
    if (chosen !== null || skipped > 0) {
      Atomics.add(words, WORD.choosing, 1);
      Atomics.notify(words, WORD.choosing);
    }
    this.#due += count;
  }

  stop(): void {
    const { words } = this.#shared;
    Atomics.store(words, WORD.stop, 1);
    Atomics.add(words, WORD.choosing, 1);
    Atomics.notify(words, WORD.choosing);
  }

  /** Answers a reader that told of a tile it could not read. */
  answer(reader: number, outcome: typeof REPAIR.mended | typeof REPAIR.lost): void {
    const index = this.#answerWord(reader);
    Atomics.store(this.#shared.words, index, outcome);
    Atomics.notify(this.#shared.words, index);
  }

  // Compute threads.

  /**
   * Waits until the tile at a place of the stream has arrived for the phase that is being computed.
   * @returns milliseconds
   */
  awaitTile(place: number): number {
    const ticket = this.#current(place);
    const index = this.#slotWord(ticket);
    const arrived = this.#word(ticket, 1);
    const { words } = this.#shared;
    let now = Atomics.load(words, index);
    if (now === arrived) return 0;
    const begun = performance.now();
    while (now !== arrived) {
      now = spinWhile(words, index, now);
      if (now === arrived) break;
      Atomics.wait(words, index, now);
      now = Atomics.load(words, index);
    }
    return performance.now() - begun;
  }

  /** Gives the slot of a tile that has been computed to the readers. */
  release(place: number): void {
    const ticket = this.#current(place);
    const index = this.#slotWord(ticket);
    Atomics.store(this.#shared.words, index, this.#word(ticket, 2));
    Atomics.notify(this.#shared.words, index);
  }

  // Readers.

  /**
   * Takes the next ticket and waits for its slot.
   * @returns the place in the stream of the tile to read, or null when the window has stopped
   */
  take(): { readonly ticket: number; readonly place: number } | null {
    const { streamed, words, counters } = this.#shared;
    for (;;) {
      const ticket = Number(Atomics.add(counters, COUNTER.next, 1n));
      const index = this.#slotWord(ticket);
      const free = this.#word(ticket, 0);
      for (let now = Atomics.load(words, index); now !== free; now = Atomics.load(words, index)) {
        if (this.#stopped) return null;
        Atomics.wait(words, index, now);
      }
      const isUsed = this.#awaitChoice(ticket);
      if (this.#stopped) return null;
      if (isUsed) return { ticket, place: ticket % streamed };
      this.#advance(ticket, 0, 2);
    }
  }

  /** Waits until it is known whether the tile of a ticket is used. */
  #awaitChoice(ticket: number): boolean {
    const { words, choices, streamed } = this.#shared;
    for (;;) {
      const turn = Atomics.load(words, WORD.choosing);
      if (ticket < this.#floor || this.#stopped) return false;
      const choice = Atomics.load(choices, ticket % streamed);
      if (choice === ALWAYS) return true;
      if (choice >> 1 === this.#mark(ticket)) return (choice & 1) === 1;
      Atomics.wait(words, WORD.choosing, turn);
    }
  }

  /** Announces that the tile of a ticket is in its slot. */
  arrived(ticket: number, bytes: number): void {
    Atomics.add(this.#shared.counters, COUNTER.bytesRead, BigInt(bytes));
    this.#advance(ticket, 0, 1);
    if (ticket < this.#floor) this.#drop(ticket);
  }

  /** Announces that the tile of a ticket cannot be had. */
  fail(ticket: number): void {
    Atomics.store(this.#shared.words, WORD.failed, 1);
    this.arrived(ticket, 0);
  }

  /** Waits for what `answer` says; false when the tile is given up. */
  awaitRepair(reader: number): boolean {
    const { words } = this.#shared;
    const index = this.#answerWord(reader);
    while (Atomics.load(words, index) === REPAIR.waiting) Atomics.wait(words, index, REPAIR.waiting);
    return Atomics.exchange(words, index, REPAIR.waiting) === REPAIR.mended;
  }

  /** The CRC-32 of a tile as it was when its SHA-256 was verified; null before. */
  checksum(tile: number): number | null {
    const { checksums } = this.#shared;
    return Atomics.load(checksums, 2 * tile) === 0 ? null : Atomics.load(checksums, 2 * tile + 1);
  }

  setChecksum(tile: number, crc: number | null): void {
    const { checksums } = this.#shared;
    if (crc !== null) Atomics.store(checksums, 2 * tile + 1, crc | 0);
    Atomics.store(checksums, 2 * tile, crc === null ? 0 : 1);
  }

  get #stopped(): boolean {
    return Atomics.load(this.#shared.words, WORD.stop) !== 0;
  }

  get #floor(): number {
    return Number(Atomics.load(this.#shared.counters, COUNTER.floor));
  }

  /** The ticket of a tile in the phase that is being computed. */
  #current(place: number): number {
    return Atomics.load(this.#shared.words, WORD.cycle) * this.#shared.streamed + place;
  }

  /** Tells the tokens of tickets apart; never 0. */
  #mark(ticket: number): number {
    return (Math.floor(ticket / this.#shared.streamed) % 2 ** 29) + 1;
  }

  #slotWord(ticket: number): number {
    const { slots } = this.#shared;
    return WORD.slots + (((ticket % slots) + slots) % slots);
  }

  #answerWord(reader: number): number {
    return WORD.slots + this.#shared.slots + reader;
  }

  #word(ticket: number, state: 0 | 1 | 2): number {
    return (2 * Math.floor(ticket / this.#shared.slots) + state) | 0;
  }

  #drop(ticket: number): void {
    this.#advance(ticket, 1, 2);
  }

  #advance(ticket: number, from: 0 | 1, to: 1 | 2): void {
    const { words } = this.#shared;
    const index = this.#slotWord(ticket);
    if (
      Atomics.compareExchange(words, index, this.#word(ticket, from), this.#word(ticket, to)) ===
      this.#word(ticket, from)
    ) {
      Atomics.notify(words, index);
    }
  }
}
