import { createHash } from 'node:crypto';
import { BufferPool } from '../../daemon/buffer-pool.ts';
import { TILE_WINDOW } from '../../daemon/protocol/tile-transfer.ts';
import { TILE_KINDS, type TileShape, tileLayout, tileName } from '../../daemon/tile/tile.ts';
import { ByteWindow } from './byte-window.ts';
import type { TileCutter } from './tile-cutter.ts';

/** A place that lacks tiles: a device, or the store on this machine. */
export interface TileTarget {
  readonly missing: readonly TileShape[];
  /**
   * Resolves when the tile is stored.
   * @param content stays as it is until then
   * @param sha256 of the content
   */
  push(tile: TileShape, content: Uint8Array, sha256: Uint8Array): Promise<void>;
}

/**
 * Bytes under way to all targets together: cut, and not yet stored. With what the links hold of them it bounds the
 * memory that cutting needs, however many devices there are.
 */
const ALL_WINDOWS = 2 * TILE_WINDOW;

interface Wanted {
  readonly tile: TileShape;
  readonly takers: TileTarget[];
  /** How far down the list of its first taker it stands, among the tiles of its layer and kind: 0 to 1. */
  readonly turn: number;
}

/**
 * Cuts every missing tile once and pushes it to all that lack it.
 * @param onProgress bytes delivered and to deliver, over all targets
 * @returns bytes delivered
 * @throws whatever cutting or the first failing target throws; StarlingError cancelled
 */
export async function distributeTiles(
  cutter: TileCutter,
  targets: readonly TileTarget[],
  onProgress: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const wanted = inCutOrder(targets);
  const total = wanted.reduce((sum, { tile, takers }) => sum + takers.length * tileLayout(tile).bytes, 0);
  const windows = new Map(targets.map((target) => [target, new ByteWindow(TILE_WINDOW)]));
  const allWindows = new ByteWindow(ALL_WINDOWS);
  const pool = new BufferPool(ALL_WINDOWS);
  const pushes = new Set<Promise<void>>();
  let done = 0;
  let failure: { error: unknown } | undefined;

  const deliver = async ({ tile, takers }: Wanted, content: Uint8Array<ArrayBuffer>): Promise<void> => {
    const sha256 = createHash('sha256').update(content).digest();
    const pushed = takers.map(async (target) => {
      try {
        await target.push(tile, content, sha256);
        done += content.length;
        onProgress(done, total);
      } catch (error) {
        failure ??= { error };
      } finally {
        windows.get(target)!.leave(content.length);
      }
    });
    await Promise.all(pushed);
    pool.give(content);
    allWindows.leave(content.length);
  };

  onProgress(done, total);
  for (const next of wanted) {
    const { bytes } = tileLayout(next.tile);
    await allWindows.enter(bytes);
    for (const target of next.takers) await windows.get(target)!.enter(bytes);
    signal?.throwIfAborted();
    if (failure !== undefined) break;
    const content = pool.take(bytes);
    content.set(await cutter.cut(next.tile));
    const push = deliver(next, content).finally(() => pushes.delete(push));
    pushes.add(push);
  }
  await Promise.all(pushes);
  if (failure !== undefined) throw failure.error;
  return done;
}

/**
 * All missing tiles, each once. Tiles that share a column-cut tensor stand together (see TileCutter); among these the
 * targets take turns, so that all of them are kept busy.
 */
function inCutOrder(targets: readonly TileTarget[]): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const target of targets) {
    const counts = new Map<string, number>();
    const group = ({ layer, kind }: TileShape): string => `${layer}/${kind}`;
    for (const tile of target.missing) counts.set(group(tile), (counts.get(group(tile)) ?? 0) + 1);
    const places = new Map<string, number>();
    for (const tile of target.missing) {
      const place = places.get(group(tile)) ?? 0;
      places.set(group(tile), place + 1);
      const entry = wanted.get(tileName(tile)) ?? { tile, takers: [], turn: place / counts.get(group(tile))! };
      entry.takers.push(target);
      wanted.set(tileName(tile), entry);
    }
  }
  const kindOf = ({ tile }: Wanted): number => TILE_KINDS.indexOf(tile.kind);
  return [...wanted.values()].sort(
    (a, b) => a.tile.layer - b.tile.layer || kindOf(a) - kindOf(b) || a.turn - b.turn || a.tile.index - b.tile.index,
  );
}
