import { StarlingError } from '../errors.ts';
import { MAX_TILE } from './incoming-tile.ts';
import { TRAILER_BYTES } from './tile-file.ts';
import type { TileStore } from './tile-store.ts';

/**
 * Reads and verifies all tiles of a model; damaged ones are removed, so that they are fetched again.
 * @param onTile told each tile and whether it was intact
 * @throws StarlingError store_failed
 */
export async function verifyModel(
  store: TileStore,
  modelId: string,
  onTile: (name: string, intact: boolean) => void,
): Promise<void> {
  for (const { name, fileBytes } of await store.tiles(modelId)) {
    // A file may be anything; one that is no tile by its size is found out when as much as that is read.
    const bytes = Math.min(Math.max(0, fileBytes - TRAILER_BYTES), MAX_TILE);
    try {
      await store.read(modelId, name, new Uint8Array(bytes));
      onTile(name, true);
    } catch (thrown) {
      if (!(thrown instanceof StarlingError) || thrown.code === 'store_failed') throw thrown;
      // One that has gone meanwhile is none.
      if (thrown.code === 'tile_damaged') onTile(name, false);
    }
  }
}
