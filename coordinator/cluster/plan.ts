import type { EngineSpec } from '../../daemon/engine/engine-spec.ts';
import { kvKey } from '../../daemon/engine/layout.ts';
import { type TileShape, tileLayout } from '../../daemon/tile/tile.ts';
import { kvHeadsOf, rulesOf } from '../../daemon/tile/tile-kinds.ts';

/** Which tiles each rank computes, by its id. */
export type Shares = ReadonlyMap<string, readonly TileShape[]>;

export const HEAD_WISHES = ['auto', 'local', 'shared'] as const;
/** Where the head is computed: by the serving computer alone, or shared like the layers. */
export type HeadWish = (typeof HEAD_WISHES)[number];

export interface PlanWishes {
  /** Computes the head where it is not shared. */
  readonly centre: string;
  /** Among these the layers are divided, equally. */
  readonly ranks: readonly string[];
  readonly head: HeadWish;
}

export interface Plan {
  readonly shares: Shares;
  readonly head: 'local' | 'shared';
  /** In words, for people. */
  readonly why: string;
}

/**
 * An equal split: contiguous runs of the attention and feed-forward tiles of each layer, and of the head's where that
 * is shared. A rank also gets the key/value tiles that its query heads read; a key/value head whose query heads are
 * split is computed on each side. With more ranks than tiles in a phase some ranks have none there.
 */
export function equalPlan(tiles: readonly TileShape[], engine: Pick<EngineSpec, 'layers'>, wishes: PlanWishes): Plan {
  const { ranks, centre } = wishes;
  const { shared, why } = headChoice(tiles, wishes);
  const plan = new Map<string, TileShape[]>([centre, ...ranks].map((id) => [id, []]));
  const spread = (run: readonly TileShape[]): void => {
    for (const [i, tile] of run.entries()) {
      // A row uses some of the experts: dealt out one by one, those are on all ranks alike.
      const to = tile.kind === 'expert' ? i % ranks.length : Math.floor((i * ranks.length) / run.length);
      plan.get(ranks[to]!)!.push(tile);
    }
  };
  for (const run of runs(tiles)) spread(run);
  for (const share of plan.values()) {
    const read = new Set(share.flatMap((tile) => kvHeadsOf(engine, tile).map((head) => kvKey(tile.layer, head))));
    share.push(...tiles.filter(({ kind, layer, first }) => kind === 'kv' && read.has(kvKey(layer, first))));
  }
  const head = tiles.filter(({ kind }) => kind === 'head');
  if (shared) spread(head);
  else plan.get(centre)!.push(...head);
  return { shares: plan, head: shared ? 'shared' : 'local', why };
}

/**
 * What a device is taken to read of its weights in a millisecond, and a home's network to carry: 10 GB/s, and 1 Gbit/s.
 */
const READ_BYTES_PER_MS = 10e6;
const NETWORK_BYTES_PER_MS = 110e3;
/** A round trip more. */
const ROUND_TRIP_MS = 0.3;

/** Whether sharing the head saves more of a decoded token's time in reading weights than its logits take to travel. */
function headChoice(
  tiles: readonly TileShape[],
  { ranks, centre, head }: PlanWishes,
): { shared: boolean; why: string } {
  if (head === 'local') return { shared: false, why: 'as wished' };
  const others = ranks.filter((id) => id !== centre).length;
  if (others === 0) return { shared: false, why: 'there is no other device' };
  if (head === 'shared') return { shared: true, why: 'as wished' };
  const headTiles = tiles.filter(({ kind }) => kind === 'head');
  const weights = headTiles.reduce((sum, tile) => sum + tileLayout(tile).bytes, 0);
  const logits = headTiles.reduce((sum, { count }) => sum + count * 4, 0);
  const part = others / ranks.length;
  const saved = (weights * (1 - 1 / ranks.length)) / READ_BYTES_PER_MS;
  const cost = ROUND_TRIP_MS + (logits * part) / NETWORK_BYTES_PER_MS;
  const times = `reading less of it saves about ${saved.toFixed(1)} ms a token, its logits take about ${cost.toFixed(1)} ms to travel`;
  return { shared: saved > cost, why: times };
}

/** The tiles of each layer and kind whose results are added. */
function runs(tiles: readonly TileShape[]): Iterable<readonly TileShape[]> {
  const found = new Map<string, TileShape[]>();
  for (const tile of tiles) {
    if (!rulesOf(tile).adds) continue;
    const key = `${tile.layer}/${tile.kind}`;
    const run = found.get(key) ?? [];
    run.push(tile);
    found.set(key, run);
  }
  return found.values();
}
