import { roundUp } from '../../kernels/formats.ts';
import { StarlingError } from '../errors.ts';
import { TRAILER_BYTES } from '../store/tile-file.ts';

/**
 * Which tiles of a device stay in memory, and which pass through a ring of slots, in the order in which they are
 * computed.
 */
export interface WindowPlan {
  /** Of each tile in execution order: its place among the streamed tiles, or null where it is pinned. */
  readonly stream: readonly (number | null)[];
  /**
   * Tiles that are read for every token, or, of experts, where one uses them: a multiple of `slots`, so that each
   * always comes to the same slot.
   */
  readonly streamed: number;
  readonly slots: number;
  readonly slotBytes: number;
  /** Bytes of memory for pinned tiles, and for the ring. */
  readonly pinnedBytes: number;
  readonly windowBytes: number;
  /** Bytes of content that are read for a token, at most: experts that it does not use are not. */
  readonly streamedBytes: number;
}

/** Direct reads take whole pages, at pages. */
export const PAGE = 4096;
/** One tile is computed while another arrives. */
const LEAST_SLOTS = 2;
/**
 * What the ring may hold ahead covers the time in which a device computes and waits for others without using up tiles;
 * more would only take memory from pinned tiles.
 */
const MOST_SLOTS = 16;
/** Share of the memory for tiles that the ring may take beyond its least size. */
const WINDOW_SHARE = 1 / 4;

/** Bytes of memory that an allocation of `bytes` makes resident: large ones begin at pages. */
export const residentBytes = (bytes: number): number => roundUp(bytes, bytes >= PAGE ? PAGE : 64);

/** Bytes of a slot for tiles of at most `bytes`: it also takes what follows the content in a tile's file. */
export const slotBytesFor = (bytes: number): number => roundUp(bytes + TRAILER_BYTES, PAGE);

/**
 * Pins as many tiles as fit, evenly spread over the execution order, so that reading goes on at an even pace; of those
 * that only some passes use, all are streamed before any other is.
 * @param tileBytes content of each tile in execution order
 * @param budget bytes of memory for tiles
 * @param rare whether a tile is used by some passes only
 * @throws StarlingError memory_too_small when not even the smallest window fits; see leastTileMemory
 */
export function planWindow(tileBytes: readonly number[], budget: number, rare: readonly boolean[] = []): WindowPlan {
  const all = withStreamed(tileBytes, 0, 0, rare);
  if (all.pinnedBytes <= budget) return all;
  const most = ringSlots(budget, slotBytesFor(Math.max(...tileBytes)));
  let best: WindowPlan | undefined;
  // A ring that is a few slots shorter can let more tiles be pinned, as the streamed ones have to be a multiple.
  for (let slots = most; slots >= Math.max(LEAST_SLOTS, most - 3); slots--) {
    const plan = leastStreamed(tileBytes, budget, slots, rare);
    if (plan !== null && (best === undefined || plan.streamedBytes < best.streamedBytes)) best = plan;
  }
  if (best === undefined) {
    throw new StarlingError(
      'memory_too_small',
      `${budget} bytes for tiles; the smallest window takes ${leastTileMemory(tileBytes)}`,
    );
  }
  return best;
}

/** Most slots of a ring in so much memory for tiles. */
export const ringSlots = (budget: number, slotBytes: number): number =>
  Math.min(MOST_SLOTS, Math.max(LEAST_SLOTS, Math.floor((budget * WINDOW_SHARE) / slotBytes)));

/** The least bytes of memory for tiles with which planWindow succeeds. */
export function leastTileMemory(tileBytes: readonly number[]): number {
  const all = withStreamed(tileBytes, 0, 0).pinnedBytes;
  const smallest = smallestWindow(tileBytes, LEAST_SLOTS);
  return smallest === null ? all : Math.min(all, smallest.pinnedBytes + smallest.windowBytes);
}

function smallestWindow(tileBytes: readonly number[], slots: number): WindowPlan | null {
  const streamed = Math.floor(tileBytes.length / slots) * slots;
  return streamed === 0 ? null : withStreamed(tileBytes, streamed, slots);
}

/** The plan with this many slots that streams least, or null when none fits. */
function leastStreamed(
  tileBytes: readonly number[],
  budget: number,
  slots: number,
  rare: readonly boolean[],
): WindowPlan | null {
  const largest = tileBytes.reduce((most, bytes) => Math.max(most, bytes), 0);
  const total = tileBytes.reduce((sum, bytes) => sum + residentBytes(bytes), 0);
  const fits = (rounds: number): boolean => {
    const { pinned, window } = memoryWith(tileBytes, rounds * slots, slots, rare);
    return pinned + window <= budget;
  };
  // No tile saves more than the largest takes.
  let least = Math.ceil(Math.max(1, Math.floor((total - budget) / residentBytes(largest))) / slots);
  let most = Math.floor(tileBytes.length / slots);
  if (least > most || !fits(most)) return null;
  const tryRounds = (rounds: number): void => {
    if (fits(rounds)) most = rounds;
    else least = rounds + 1;
  };
  // The more are streamed, the less is pinned, but for tiles of other sizes that take turns. Mostly it is as many as are
  // too much by their average size, or one more.
  const average = total / tileBytes.length;
  const guess = Math.ceil((total - budget + slots * slotBytesFor(largest)) / average / slots);
  for (const rounds of [guess - 1, guess, guess + 1]) if (rounds >= least && rounds < most) tryRounds(rounds);
  while (least < most) tryRounds(Math.floor((least + most) / 2));
  return withStreamed(tileBytes, most * slots, slots, rare);
}

/** Bytes of memory for pinned tiles, and for the ring, where so many are streamed. */
function memoryWith(
  tileBytes: readonly number[],
  streamed: number,
  slots: number,
  rare: readonly boolean[],
): { pinned: number; window: number } {
  const isStreamed = spread(tileBytes.length, streamed, rare);
  let pinned = 0;
  let largest = 0;
  for (let i = 0; i < tileBytes.length; i++) {
    const bytes = tileBytes[i]!;
    if (isStreamed(i)) largest = Math.max(largest, bytes);
    else pinned += residentBytes(bytes);
  }
  // A page more, to begin at one.
  return { pinned, window: streamed === 0 ? 0 : slots * slotBytesFor(largest) + PAGE };
}

function withStreamed(
  tileBytes: readonly number[],
  streamed: number,
  slots: number,
  rare: readonly boolean[] = [],
): WindowPlan {
  const { pinned: pinnedBytes, window: windowBytes } = memoryWith(tileBytes, streamed, slots, rare);
  const isStreamed = spread(tileBytes.length, streamed, rare);
  let place = 0;
  let streamedBytes = 0;
  let largest = 0;
  const stream = tileBytes.map((bytes, i) => {
    if (!isStreamed(i)) return null;
    streamedBytes += bytes;
    largest = Math.max(largest, bytes);
    return place++;
  });
  const slotBytes = streamed === 0 ? 0 : slotBytesFor(largest);
  return { stream, streamed, slots, slotBytes, pinnedBytes, windowBytes, streamedBytes };
}

/**
 * Which tiles are streamed: so many, evenly spread over the rare ones, and over the others only when all of these are.
 * @returns whether a tile is; to be asked of each, in order
 */
function spread(tiles: number, streamed: number, rare: readonly boolean[]): (tile: number) => boolean {
  const rares = rare.reduce((count, each) => count + (each ? 1 : 0), 0);
  const ofRare = Math.min(streamed, rares);
  const share = {
    rare: { all: rares, streamed: ofRare, seen: 0 },
    other: { all: tiles - rares, streamed: streamed - ofRare, seen: 0 },
  };
  return (tile) => {
    const of = rare[tile] ? share.rare : share.other;
    const before = of.seen++;
    return Math.floor((of.seen * of.streamed) / of.all) !== Math.floor((before * of.streamed) / of.all);
  };
}
