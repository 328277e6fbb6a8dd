import { Engine } from './engine/engine.ts';
import type { EngineOptions } from './engine/engine-parts.ts';
import { type StarlingError, toStarlingError } from './errors.ts';
import type { Logger } from './log.ts';
import type { ProcessMemory } from './process-memory.ts';
import type { TileStore } from './store/tile-store.ts';
import { type TileShape, tileName } from './tile/tile.ts';

export interface LoadEngineOptions
  extends Pick<
    EngineOptions,
    'spec' | 'tiles' | 'backend' | 'threads' | 'scratchBytes' | 'onLoaded' | 'signal' | 'readDelayMs' | 'repair'
  > {
  readonly modelId: string;
  readonly store: TileStore;
  /** Of this process. */
  readonly memory: ProcessMemory;
  /** Memory that the process needs beside what it has and the engine. */
  readonly reserve?: number;
  readonly log: Logger;
}

/** An engine; or the tiles that the store was found not to have, or to have damaged, and has removed. */
export type LoadedEngine =
  | { readonly engine: Engine; readonly damaged: null }
  | { readonly engine: null; readonly damaged: readonly TileShape[] };

/**
 * Creates an engine over the tiles of a store.
 * @throws StarlingError as Engine.create
 */
export async function loadEngine(options: LoadEngineOptions): Promise<LoadedEngine> {
  const { modelId, store, memory, reserve = 0, log, ...engineOptions } = options;
  const damaged: TileShape[] = [];
  const engine = await Engine.create({
    ...engineOptions,
    // Measured anew for each attempt: that collects the memory of the last one.
    memory: { budget: memory.budget(), base: (await memory.base()) + reserve, threadBytes: memory.threadBytes },
    load: async (tile, into) => {
      try {
        await store.read(modelId, tileName(tile), into);
      } catch (thrown) {
        const error = toStarlingError(thrown);
        if (!isMending(error)) throw error;
        log.warn({ tile: tileName(tile), code: error.code }, error.message);
        damaged.push(tile);
      }
    },
    fileOf: (tile) => store.path(modelId, tileName(tile)),
  });
  if (damaged.length === 0) return { engine, damaged: null };
  await engine.stop();
  return { engine: null, damaged };
}

/** Whether sending the tile again helps. */
const isMending = ({ code }: StarlingError): boolean => code === 'tile_damaged' || code === 'tile_missing';
