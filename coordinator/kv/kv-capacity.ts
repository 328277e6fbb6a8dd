import { pagesFor } from '../../daemon/engine/engine-spec.ts';
import { type TileShape, tileLayout } from '../../daemon/engine/tile.ts';

/** What bounds the KV pages of one device. */
export interface KvDevice {
  /** For the KV cache, at most. */
  readonly bytes: number;
  /** That one page takes in all of the device's caches; 0 where it has none. */
  readonly pageBytes: number;
}

/** Conversations of full length that the caches hold at a time, where memory allows. */
const CONVERSATIONS = 8;
/** The part of a device's memory beyond its tiles and RESERVE that the KV cache may take: the rest is for what streams and grows. */
const SHARE = 1 / 4;
/** For the process itself, its threads and buffers. */
const RESERVE = 512 * 2 ** 20;
/** A WebAssembly memory holds no more than this. */
const WASM_BYTES = 4 * 2 ** 30;

/**
 * KV pages of the cluster. Every device has the same page ids, so the one with the least room decides; one conversation of full length
 * has to fit in any case.
 */
export function kvCapacity(contextLength: number, devices: readonly KvDevice[]): number {
  const conversation = pagesFor(contextLength);
  const room = devices.filter(({ pageBytes }) => pageBytes > 0).map(({ bytes, pageBytes }) => bytes / pageBytes);
  return Math.max(conversation, Math.floor(Math.min(CONVERSATIONS * conversation, ...room)));
}

/**
 * What a device may spend on its KV cache, by its memory budget: nothing beyond one conversation where its tiles stream from disk.
 * @param pageBytes of a page of one key/value head
 */
export function kvDevice(
  { memoryBytes, backend }: { readonly memoryBytes: number; readonly backend: string },
  tiles: readonly TileShape[],
  pageBytes: number,
): KvDevice {
  const memory = backend === 'wasm' ? Math.min(memoryBytes, WASM_BYTES) : memoryBytes;
  const weights = tiles.reduce((sum, { matrices }) => sum + tileLayout(matrices).bytes, 0);
  const caches = tiles.filter(({ kind }) => kind === 'kv').length;
  return { bytes: Math.max(0, memory - RESERVE - weights) * SHARE, pageBytes: caches * pageBytes };
}
