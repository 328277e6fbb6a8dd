import type { Engine } from '../../daemon/engine/engine.ts';
import type { EngineSpec } from '../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { loadEngine } from '../../daemon/load-engine.ts';
import type { Logger } from '../../daemon/log.ts';
import type { ProcessMemory } from '../../daemon/process-memory.ts';
import { makeRoom } from '../../daemon/store/make-room.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import { type TileShape, tileLayout, tileName } from '../../daemon/tile/tile.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { ModelName, Rank, RankMemory } from './rank.ts';

export interface LocalRankOptions {
  readonly store: TileStore;
  readonly backend: BackendName;
  readonly threads: number;
  readonly memory: ProcessMemory;
  readonly log: Logger;
  /** Makes a tile again that was found damaged while it was streamed. */
  readonly repair: (tile: TileShape, error: StarlingError) => Promise<void>;
  /** Bytes of the engine's memory that are the caller's own. */
  readonly scratchBytes: (spec: EngineSpec) => number;
  readonly onLoaded: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** For tests: see EngineOptions. */
  readonly readDelayMs?: number;
}

/** This computer's id among ranks; no device has such a one. */
export const OWN_ID = 'own';
export const OWN_NAME = 'this device';

/** What cutting a tile again takes: parts of a tensor, the tile, and copies on their way. */
export const REPAIR_BYTES = 16 * 2 ** 20;

interface Share {
  readonly modelId: string;
  readonly spec: EngineSpec;
  readonly tiles: readonly TileShape[];
}

/** This computer: its share, however small, is computed in this process, which is also the centre of the star. */
export class LocalRank implements Rank {
  readonly id = OWN_ID;
  readonly name = OWN_NAME;
  readonly profile: Rank['profile'];
  readonly #options: LocalRankOptions;
  #share: Share | undefined;
  #engine: Engine | undefined;
  /** An engine that is not used any more, on its way to be gone. */
  #ending: Promise<void> = Promise.resolve();

  constructor(options: LocalRankOptions) {
    this.#options = options;
    const { memory, backend, threads } = options;
    this.profile = { memoryBytes: memory.budget(), backend, threads };
  }

  get memory(): RankMemory | undefined {
    if (this.#engine === undefined) return undefined;
    const { pinned: pinnedTiles, streamed: streamedTiles } = this.#engine.tiles;
    return { ...this.#engine.memory, pinnedTiles, streamedTiles };
  }

  /** @throws StarlingError internal before it is started */
  get engine(): Engine {
    if (this.#engine === undefined) throw new StarlingError('internal', 'this device has not loaded its tiles');
    return this.#engine;
  }

  async load(model: ModelName, spec: EngineSpec, tiles: readonly TileShape[]): Promise<TileShape[]> {
    const { store, log } = this.#options;
    await this.#ending;
    this.#share = { modelId: model.id, spec, tiles };
    const have = await Promise.all(tiles.map((tile) => store.has(model.id, tileName(tile), tileLayout(tile).bytes)));
    const missing = tiles.filter((_, i) => !have[i]);
    const bytes = missing.map((tile) => tileLayout(tile).bytes);
    for (const removed of await makeRoom(store, model.id, bytes)) {
      log.info({ model: removed.name ?? removed.modelId, bytes: removed.bytes }, 'removed a model to make room');
    }
    return missing;
  }

  async push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void> {
    await this.#options.store.write(this.#loaded().modelId, tileName(tile), content, sha256);
  }

  async start(): Promise<readonly TileShape[]> {
    const share = this.#loaded();
    const { engine, damaged } = await loadEngine({
      ...this.#options,
      ...share,
      reserve: REPAIR_BYTES,
      scratchBytes: this.#options.scratchBytes(share.spec),
    });
    if (engine === null) return damaged;
    this.#engine = engine;
    return [];
  }

  unload(): void {
    const engine = this.#engine;
    this.#share = undefined;
    this.#engine = undefined;
    if (engine !== undefined) this.#ending = Promise.all([this.#ending, engine.stop()]).then(() => {});
  }

  async stop(): Promise<void> {
    this.unload();
    await this.#ending;
  }

  #loaded(): Share {
    if (this.#share === undefined) throw new StarlingError('internal', 'this device has no share of a model');
    return this.#share;
  }
}
