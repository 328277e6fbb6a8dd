import { createHash } from 'node:crypto';
import { TILE_KINDS, type TileShape, tileLayout, tileName } from '../../daemon/engine/tile.ts';
import type { TileStore } from '../../daemon/store/tile-store.ts';
import type { TileCutter } from './tile-cutter.ts';

/** A place that lacks tiles: a device, or the store on this machine. */
export interface TileTarget {
  readonly missing: readonly TileShape[];
  /** Resolves when there is room for another tile of `bytes` bytes on the way. */
  windowFor(bytes: number): Promise<void>;
  /** Takes a copy of the content; resolves when it is stored. */
  push(tile: TileShape, content: Uint8Array): Promise<void>;
}

/** Bytes that may be on their way into the local store. */
const LOCAL_WINDOW = 16 * 2 ** 20;

/** The store of this machine as a target. */
export function storeTarget(store: TileStore, modelId: string, missing: readonly TileShape[]): TileTarget {
  let underWay = 0;
  let waiting: (() => void)[] = [];
  return {
    missing,
    async windowFor(bytes) {
      while (underWay > 0 && underWay + bytes > LOCAL_WINDOW) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    async push(tile, content) {
      const copy = Buffer.from(content);
      underWay += copy.length;
      try {
        await store.write(modelId, tileName(tile), copy, createHash('sha256').update(copy).digest());
      } finally {
        underWay -= copy.length;
        const resumed = waiting;
        waiting = [];
        for (const resume of resumed) resume();
      }
    },
  };
}

/**
 * Cuts every missing tile once and pushes it to all that lack it.
 * @param onProgress bytes delivered and to deliver, over all targets
 * @throws whatever cutting or the first failing target throws; StarlingError cancelled
 */
export async function distributeTiles(
  cutter: TileCutter,
  targets: readonly TileTarget[],
  onProgress: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const wanted = new Map<string, { tile: TileShape; targets: TileTarget[] }>();
  let total = 0;
  for (const target of targets) {
    for (const tile of target.missing) {
      const entry = wanted.get(tileName(tile)) ?? { tile, targets: [] };
      entry.targets.push(target);
      wanted.set(tileName(tile), entry);
      total += tileLayout(tile.matrices).bytes;
    }
  }
  let done = 0;
  let failure: { error: unknown } | undefined;
  const pushes = new Set<Promise<void>>();
  onProgress(done, total);
  for (const { tile, targets: takers } of [...wanted.values()].sort((a, b) => inCutOrder(a.tile, b.tile))) {
    signal?.throwIfAborted();
    if (failure !== undefined) break;
    const { bytes } = tileLayout(tile.matrices);
    const content = await cutter.cut(tile);
    for (const target of takers) {
      await target.windowFor(bytes);
      const push = target
        .push(tile, content)
        .then(() => {
          done += bytes;
          onProgress(done, total);
        })
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => pushes.delete(push));
      pushes.add(push);
    }
  }
  await Promise.all(pushes);
  if (failure !== undefined) throw failure.error;
}

/** Tiles that share a column-cut tensor stand together: see TileCutter. */
function inCutOrder(a: TileShape, b: TileShape): number {
  return a.layer - b.layer || TILE_KINDS.indexOf(a.kind) - TILE_KINDS.indexOf(b.kind) || a.index - b.index;
}
