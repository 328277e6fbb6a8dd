import { StarlingError, toStarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import { type TileShape, tileName } from '../../daemon/tile/tile.ts';
import type { RepairCutter } from '../tiles/repair-cutter.ts';
import type { RemoteRank } from './remote-rank.ts';

/** How often a device may ask for a tile again while it computes. It counts itself; this is for one that does not. */
const MOST_REPAIRS = 4;

/**
 * Makes tiles again that a device found damaged or missing while it computes; the step that needs them goes on after.
 */
export class TileRepairs {
  readonly #cutter: RepairCutter;
  readonly #store: TileStore;
  readonly #modelId: string;
  readonly #log: Logger;
  /** By device and tile. */
  readonly #counts = new Map<string, number>();

  constructor(cutter: RepairCutter, store: TileStore, modelId: string, log: Logger) {
    this.#cutter = cutter;
    this.#store = store;
    this.#modelId = modelId;
    this.#log = log;
  }

  /** Sends tiles to a device again; one for which that does not work is given up, so that nobody waits for it. */
  mendRank(rank: RemoteRank, tiles: readonly TileShape[]): void {
    const mend = async (tile: TileShape): Promise<void> => {
      const name = tileName(tile);
      this.#log.warn({ device: rank.name, tile: name }, 'found a damaged tile in its store; sending it again');
      const key = `${rank.id}/${name}`;
      const count = (this.#counts.get(key) ?? 0) + 1;
      this.#counts.set(key, count);
      if (count > MOST_REPAIRS) {
        throw new StarlingError('tile_damaged', `${rank.name} asks for ${name} again and again; check its disk`);
      }
      const { content, sha256 } = await this.#cutter.cut(tile);
      await rank.push(tile, content, sha256);
    };
    for (const tile of tiles) mend(tile).catch((error: unknown) => rank.giveUp(toStarlingError(error)));
  }

  /** Puts a tile into this device's store again. @throws StarlingError when it cannot be cut or stored */
  async mendOwn(tile: TileShape, error: StarlingError): Promise<void> {
    this.#log.warn({ code: error.code, tile: tileName(tile) }, error.message);
    const { content, sha256 } = await this.#cutter.cut(tile);
    await this.#store.write(this.#modelId, tileName(tile), content, sha256);
  }
}
