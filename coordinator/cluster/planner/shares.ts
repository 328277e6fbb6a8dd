import type { TileShape } from '../../../daemon/tile/tile.ts';
import { kvHeadsOfRun, type PhaseWork } from './phase-work.ts';

/** Tiles of each phase for each device: `[phase][device]`. */
export type Division = readonly (readonly number[])[];

/**
 * The tiles of each device, in the order in which they are computed: runs of those of each phase, in the order of the
 * devices, with the key/value heads that they read. A key/value head whose query heads are split is computed on each
 * side. Experts are dealt out one by one, since a row uses some of them: so they are on all devices alike.
 */
export function sharesOf(works: readonly PhaseWork[], division: Division, devices: number): TileShape[][] {
  const shares = Array.from({ length: devices }, (): TileShape[] => []);
  for (const [p, work] of works.entries()) {
    const counts = division[p]!;
    if (work.routed !== null) {
      for (const [i, to] of dealt(counts).entries()) shares[to]!.push(work.tiles[i]!);
      continue;
    }
    let first = 0;
    for (const [d, count] of counts.entries()) {
      const share = shares[d]!;
      if (work.kv !== null) share.push(...work.kv.tiles.slice(...kvHeadsOfRun(work.kv, first, count)));
      for (let i = first; i < first + count; i++) share.push(work.tiles[i]!);
      first += count;
    }
  }
  return shares;
}

/** To whom each tile goes, so that at any point everybody has as many as is due. */
function dealt(counts: readonly number[]): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const given = counts.map(() => 0);
  return Array.from({ length: all }, (_, i) => {
    let to = 0;
    let most = Number.NEGATIVE_INFINITY;
    for (const [d, count] of counts.entries()) {
      const due = (count * (i + 1)) / all - given[d]!;
      if (given[d]! < count && due > most + 1e-9) {
        most = due;
        to = d;
      }
    }
    given[to]!++;
    return to;
  });
}
