import type { Arena } from '../../kernels/arena.ts';
import { createArena, openKernels } from '../../kernels/create-kernels.ts';
import type { Address, BackendName, Kernels } from '../../kernels/kernels.ts';
import { StarlingError } from '../errors.ts';
import { type TileShape, tileLayout } from '../tile/tile.ts';
import type { EngineSpec } from './engine-spec.ts';
import { type EngineLayout, executionOrder, placeEngine, tilesOf } from './layout.ts';
import { arenaBytesOf, type MemoryParts, planMemory } from './memory-plan.ts';
import { directStart } from './read-tile-file.ts';
import { READERS, ReaderPool } from './reader-pool.ts';
import { ThreadPool } from './thread-pool.ts';
import { PAGE, type WindowPlan } from './window-plan.ts';
import { createWindowShared, WindowWords } from './window-words.ts';

export interface EngineOptions {
  readonly spec: EngineSpec;
  readonly tiles: readonly TileShape[];
  readonly backend: BackendName;
  readonly threads: number;
  /**
   * Bytes that the whole process may have resident, what it has resident without this engine, and what a thread adds.
   */
  readonly memory: { readonly budget: number; readonly base: number; readonly threadBytes: number };
  /** Fills `into` with a tile's bytes. */
  readonly load: (tile: TileShape, into: Uint8Array) => Promise<void>;
  /** The file of a tile: its content and then its SHA-256. */
  readonly fileOf: (tile: TileShape) => string;
  /**
   * Brings a tile back that was found damaged or missing while it was streamed; resolves when its file is there again.
   */
  readonly repair: (tile: TileShape, error: StarlingError) => Promise<void>;
  readonly onLoaded?: (bytes: number, total: number) => void;
  /** Memory for the caller's own use with `kernels`. */
  readonly scratchBytes?: number;
  readonly signal?: AbortSignal;
  /** For tests: most milliseconds by which each read of a streamed tile is held up, at random. */
  readonly readDelayMs?: number;
}

/** What an engine is made of. */
export interface EngineParts {
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly layout: EngineLayout;
  readonly pool: ThreadPool;
  readonly readers: ReaderPool | null;
  readonly scratch: Address;
  readonly memory: MemoryParts;
}

/**
 * Segments are as large as what is placed, up to this: what is left over of one may lie in a huge page, and so be
 * resident.
 */
const MOST_SEGMENT = 2 ** 30;

/**
 * Divides the memory, loads the tiles that stay in it, and starts the threads, which begin to read the others.
 * @throws StarlingError memory_too_small, out_of_memory when the arena cannot hold it all; whatever `load` throws
 */
export async function startParts(options: EngineOptions): Promise<EngineParts> {
  const { spec, backend, threads, scratchBytes = 0 } = options;
  const tiles = executionOrder(spec, options.tiles);
  const arenaBytes = arenaBytesOf(backend);
  const { plan, parts: memory } = planMemory({ ...options.memory, spec, tiles, threads, scratchBytes, arenaBytes });
  const placed = memory.pinned + memory.window + memory.caches + memory.buffers;
  const arena = createArena(backend, Math.min(placed + PAGE, MOST_SEGMENT));
  const streamed = tiles.flatMap((tile, place) => (plan.stream[place] === null ? [] : [{ tile, place }]));
  const files = tiles.map(options.fileOf);
  const { layout, scratch, ring, direct } = orExplain(() => {
    const { ring, direct } = placeRing(
      arena,
      plan,
      streamed.map(({ place }) => files[place]!),
    );
    const shared =
      plan.streamed === 0
        ? null
        : createWindowShared(
            streamed.map(({ tile }) => tile.kind === 'expert'),
            tiles.length,
            plan.slots,
            READERS,
          );
    const layout = placeEngine(spec, tiles, threads, arena, { plan, ring, shared });
    return { layout, scratch: arena.alloc(scratchBytes), ring, direct };
  });
  await loadPinned(arena, layout, options);
  const handle = arena.handle();
  const kernels = openKernels(handle);
  const readers =
    layout.window === null
      ? null
      : new ReaderPool({
          handle: arena.handle(),
          shared: layout.window,
          window: new WindowWords(layout.window),
          tiles: tiles.map((tile, i) => ({ file: files[i]!, bytes: tileLayout(tile).bytes })),
          occupants: layout.occupants.tiles,
          places: streamed.map(({ place }) => place),
          ring,
          slotBytes: plan.slotBytes,
          direct,
          delayMs: options.readDelayMs ?? 0,
          repair: (tile, error) => options.repair(tiles[tile]!, error),
        });
  const pool = new ThreadPool(layout, kernels, handle, () => readers?.failure);
  await pool.start(arena);
  await readers?.start((reason) => pool.fail(reason));
  return { arena, kernels, layout, pool, readers, scratch, memory };
}

/** Loads the tiles that stay in memory. */
async function loadPinned(
  arena: Arena,
  layout: EngineLayout,
  { load, onLoaded, signal }: EngineOptions,
): Promise<void> {
  const pinned = tilesOf(layout).filter(({ stream }) => stream === null);
  const total = pinned.reduce((sum, tile) => sum + tileLayout(tile.shape).bytes, 0);
  let loaded = 0;
  for (const { shape, address } of pinned) {
    signal?.throwIfAborted();
    const { bytes } = tileLayout(shape);
    await load(shape, arena.bytes(address, bytes));
    loaded += bytes;
    onLoaded?.(loaded, total);
  }
}

/** Gives the ring its place, at pages where that lets reads bypass the system's cache. */
function placeRing(arena: Arena, plan: WindowPlan, files: readonly string[]): { ring: Address; direct: boolean } {
  if (plan.streamed === 0) return { ring: 0, direct: false };
  const address = arena.alloc(plan.windowBytes);
  const start = directStart(files, arena.bytes(address, 2 * PAGE));
  return { ring: address + (start ?? 0), direct: start !== null };
}

/** @throws StarlingError out_of_memory where `place` asks for more than the arena can give */
function orExplain<T>(place: () => T): T {
  try {
    return place();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StarlingError(
      'out_of_memory',
      `the tiles and caches of this share do not fit in memory (${error.message}): use a smaller --memory, a shorter context, or more devices`,
      { cause: error },
    );
  }
}
