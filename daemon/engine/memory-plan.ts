import type { Arena } from '../../kernels/arena.ts';
import { StarlingError } from '../errors.ts';
import { type TileShape, tileBytes } from '../tile/tile.ts';
import { placeBuffers } from './buffers.ts';
import type { EngineSpec } from './engine-spec.ts';
import { placeCaches } from './layout.ts';
import { READERS } from './reader-pool.ts';
import { leastTileMemory, planWindow, residentBytes, type WindowPlan } from './window-plan.ts';

/** How a device's memory is divided, in bytes of resident memory of the whole process tree. */
export interface MemoryParts {
  /** What the owner allows. */
  readonly budget: number;
  /** Node.js itself: code, heap, network buffers, child processes. */
  readonly base: number;
  readonly threads: number;
  /** KV caches, when they are full. */
  readonly caches: number;
  /** Activations and sums. */
  readonly buffers: number;
  /** Tiles that are always in memory. */
  readonly pinned: number;
  /** The ring through which the other tiles pass. */
  readonly window: number;
}

export interface MemoryPlanOptions {
  readonly budget: number;
  readonly base: number;
  /** Of each thread. */
  readonly threadBytes: number;
  readonly spec: EngineSpec;
  /** In execution order. */
  readonly tiles: readonly TileShape[];
  /** Bytes of each, where that is known. */
  readonly sizes?: readonly number[];
  readonly threads: number;
  /** Of the caller's own in the arena. */
  readonly scratchBytes: number;
  /** What an arena can hold; WebAssembly's holds 4 GiB at most. */
  readonly arenaBytes: number;
}

/** What a WebAssembly memory holds besides the stacks and globals of its threads. */
const WASM_BYTES = 2 ** 32 - 32 * 2 ** 20;

/** What an arena of a backend can hold. */
export const arenaBytesOf = (backend: string): number => (backend === 'wasm' ? WASM_BYTES : Number.POSITIVE_INFINITY);

/**
 * Divides the budget: what has to be in memory first, the rest for tiles.
 * @throws StarlingError memory_too_small saying the least that would do
 */
export function planMemory(options: MemoryPlanOptions): { plan: WindowPlan; parts: MemoryParts } {
  const { budget, base, threadBytes, spec, tiles, scratchBytes } = options;
  const { sizes = tiles.map(tileBytes) } = options;
  const rare = tiles.map(({ kind }) => kind === 'expert');
  const caches = counted((arena) => placeCaches(spec, tiles, arena));
  const buffers = counted((arena) => placeBuffers(spec, tiles, options.threads, arena)) + residentBytes(scratchBytes);
  const everyTile = sizes.reduce((sum, bytes) => sum + residentBytes(bytes), 0);
  const inArena = options.arenaBytes - caches - buffers;
  const divide = (threads: number): { plan: WindowPlan; parts: MemoryParts } => {
    const plan = planWindow(sizes, Math.min(budget - base - threads - caches - buffers, inArena), rare);
    const { pinnedBytes: pinned, windowBytes: window } = plan;
    return { plan, parts: { budget, base, threads, caches, buffers, pinned, window } };
  };
  const compute = options.threads * threadBytes;
  // Without a window there are no readers.
  if (base + compute + caches + buffers + everyTile <= budget && everyTile <= inArena) return divide(compute);
  const threads = compute + READERS * threadBytes;
  const least = leastTileMemory(sizes);
  if (least > inArena) {
    throw new StarlingError(
      'out_of_memory',
      `the caches and buffers of this share take ${megabytes(caches + buffers)} MB, and the memory of these kernels holds ` +
        `${megabytes(options.arenaBytes)} MB in all: use a shorter --context, or more devices`,
    );
  }
  // Of a small share, readers take more than keeping all of it.
  const inMemory = everyTile <= inArena ? compute + everyTile : Number.POSITIVE_INFINITY;
  const needed = base + caches + buffers + Math.min(threads + least, inMemory);
  if (needed > budget) {
    throw new StarlingError(
      'memory_too_small',
      `${megabytes(budget)} MB of memory are too little for this share of the model: the least that would do is --memory ${megabytes(needed)}MB ` +
        `(Node.js ${megabytes(base)}, caches ${megabytes(caches)}, buffers ${megabytes(buffers)}, ` +
        `threads and the smallest window ${megabytes(needed - base - caches - buffers)}); a shorter --context or more devices need less`,
    );
  }
  return divide(threads);
}

/** Upwards, so that the least that is named does. */
const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);

/** What `place` would make resident. */
function counted(place: (arena: Pick<Arena, 'alloc'>) => unknown): number {
  let total = 0;
  place({
    alloc(bytes) {
      total += residentBytes(bytes);
      return 0;
    },
  });
  return total;
}
