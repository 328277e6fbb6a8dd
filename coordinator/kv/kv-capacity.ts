import { pagesFor } from '../../daemon/engine/engine-spec.ts';
import { arenaBytesOf } from '../../daemon/engine/memory-plan.ts';
import { type TileShape, tileBytes } from '../../daemon/tile/tile.ts';

/** What bounds the KV pages of one device. */
export interface KvDevice {
  /** For the KV cache, at most. */
  readonly bytes: number;
  /** That one page takes in all of the device's caches; 0 where it has none. */
  readonly pageBytes: number;
}

/** Conversations of full length that the caches hold at a time, where memory allows, unless told otherwise. */
const CONVERSATIONS = 8;
/** For the process itself, its threads and buffers. */
const RESERVE = 256 * 2 ** 20;
/** The part of the memory beyond that and beyond tiles which stay in it that the KV cache may take. */
const SHARE = 1 / 4;

/**
 * KV pages of the cluster. Every device has the same page ids, so the one with the least room decides; one conversation
 * of full length has to fit in any case.
 */
export function kvCapacity(contextLength: number, devices: readonly KvDevice[], conversations = CONVERSATIONS): number {
  const conversation = pagesFor(contextLength);
  const room = devices.filter(({ pageBytes }) => pageBytes > 0).map(({ bytes, pageBytes }) => bytes / pageBytes);
  return Math.max(conversation, Math.floor(Math.min(conversations * conversation, ...room)));
}

/**
 * What a device may spend on its KV cache, by its memory budget. Tiles that could all stay in memory do; where they
 * stream anyway, a pass over them that serves several texts is worth more than the tiles that would stay in the cache's
 * place.
 * @param weights bytes of its tiles
 */
export function kvBytes(
  { memoryBytes, backend }: { readonly memoryBytes: number; readonly backend: string },
  weights: number,
): number {
  const memory = Math.min(memoryBytes, arenaBytesOf(backend));
  const room = Math.max(0, memory - RESERVE);
  return SHARE * (weights <= room ? room - weights : room);
}

/**
 * What bounds the KV pages of a device with these tiles.
 * @param pageBytes of a page of each key/value head's cache
 */
export function kvDevice(
  device: { readonly memoryBytes: number; readonly backend: string },
  tiles: readonly TileShape[],
  pageBytes: (tile: TileShape) => number,
): KvDevice {
  const weights = tiles.reduce((sum, tile) => sum + tileBytes(tile), 0);
  const heads = tiles.filter(({ kind }) => kind === 'kv');
  return { bytes: kvBytes(device, weights), pageBytes: heads.reduce((sum, tile) => sum + pageBytes(tile), 0) };
}
