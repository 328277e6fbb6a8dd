import type { TileShape } from '../../../daemon/tile/tile.ts';
import { kvHeadsOfRun, type PhaseWork } from './phase-work.ts';

/** Tiles of each phase for each device: `[phase][device]`. */
export type Division = readonly (readonly number[])[];

/** The tiles of each device, in the order in which they are computed: see shareOf. */
export const sharesOf = (works: readonly PhaseWork[], division: Division, devices: number): TileShape[][] =>
  Array.from({ length: devices }, (_, d) => shareOf(works, division, d));

/**
 * The tiles of one device, by its place, in the order in which they are computed: runs of those of each phase, in the
 * order of the devices, with the key/value heads that they read. A key/value head whose query heads are split is
 * computed on each side. Experts are dealt out one by one, since a row uses some of them: so they are on all devices
 * alike.
 */
export function shareOf(works: readonly PhaseWork[], division: Division, device: number): TileShape[] {
  const share: TileShape[] = [];
  for (const [p, { tiles, kv, routed }] of works.entries()) {
    const counts = division[p]!;
    const count = counts[device]!;
    if (count === 0) continue;
    if (routed !== null) {
      for (const [i, to] of dealt(counts).entries()) if (to === device) share.push(tiles[i]!);
      continue;
    }
    const first = counts.reduce((sum, each, d) => (d < device ? sum + each : sum), 0);
    if (kv !== null) share.push(...kv.tiles.slice(...kvHeadsOfRun(kv, first, count)));
    for (let i = first; i < first + count; i++) share.push(tiles[i]!);
  }
  return share;
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
