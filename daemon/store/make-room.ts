import { StarlingError } from '../errors.ts';
import { modelsToEvict } from './eviction.ts';
import { TRAILER_BYTES } from './tile-file.ts';
import type { StoredModel, TileStore } from './tile-store.ts';

/** Space on the disk that is left to others. */
export const SPARE_BYTES = 64 * 2 ** 20;

/**
 * Makes room for tiles of a model, within the store's limit and the disk, by removing the models that were used least
 * recently.
 * @param tileBytes content of each tile to come
 * @returns the models that were removed
 * @throws StarlingError store_limit_exceeded or disk_full when there is not enough (nothing is removed then);
 * store_failed
 */
export async function makeRoom(
  store: TileStore,
  modelId: string,
  tileBytes: readonly number[],
): Promise<StoredModel[]> {
  if (tileBytes.length === 0) return [];
  const needed = tileBytes.reduce((sum, bytes) => sum + bytes + TRAILER_BYTES, 0);
  const models = await store.list();
  const stored = models.reduce((sum, { bytes }) => sum + bytes, 0);
  const free = await store.freeBytes();
  const overLimit = stored + needed - store.limitBytes;
  const overDisk = needed + SPARE_BYTES - free;
  const evicted = modelsToEvict(models, modelId, Math.max(0, overLimit, overDisk));
  if (evicted === null) {
    const what = `${megabytes(needed)} MB of tiles are to be stored in ${store.folder}, where`;
    const advice = 'and the models that could be removed are too small or in use';
    throw overLimit > overDisk
      ? new StarlingError(
          'store_limit_exceeded',
          `${what} ${megabytes(stored)} MB are and --store-limit allows ${megabytes(store.limitBytes)} MB, ${advice}`,
        )
      : new StarlingError('disk_full', `${what} ${megabytes(free)} MB are free, ${advice}; free some space`);
  }
  for (const each of evicted) await store.removeModel(each);
  return models.filter((model) => evicted.includes(model.modelId));
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
