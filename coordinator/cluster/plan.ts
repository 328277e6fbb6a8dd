import type { TileShape } from '../../daemon/engine/tile.ts';

/** Which tiles each rank computes: one list a rank. */
export type Plan = readonly (readonly TileShape[])[];

/**
 * An equal split over `ranks` devices: contiguous runs of the attention and feed-forward tiles of each layer. A rank also gets
 * the key/value tiles that its query heads read; a key/value head whose query heads are split is computed on each side.
 * With more ranks than tiles in a phase some ranks have none there.
 * @param group query heads that share a key/value head
 */
export function equalPlan(tiles: readonly TileShape[], ranks: number, group: number): Plan {
  const plan: TileShape[][] = Array.from({ length: ranks }, () => []);
  for (const layerTiles of byLayer(tiles)) {
    for (const kind of ['attention', 'ffn'] as const) {
      const ofKind = layerTiles.filter((tile) => tile.kind === kind);
      for (const [i, tile] of ofKind.entries()) {
        plan[Math.floor((i * ranks) / ofKind.length)]!.push(tile);
      }
    }
    const kv = layerTiles.filter((tile) => tile.kind === 'kv');
    for (const share of plan) {
      const queries = share.filter((tile) => tile.kind === 'attention' && tile.layer === kv[0]?.layer);
      const wanted = new Set(
        queries.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => Math.floor((first + i) / group))),
      );
      share.push(...kv.filter((tile) => wanted.has(tile.first)));
    }
  }
  return plan;
}

function byLayer(tiles: readonly TileShape[]): TileShape[][] {
  const layers: TileShape[][] = [];
  for (const tile of tiles) {
    if (tile.kind === 'head') continue;
    layers[tile.layer] ??= [];
    layers[tile.layer]!.push(tile);
  }
  return layers;
}
