import { MAX_PHASE_TILES } from '../../daemon/engine/engine-spec.ts';

/** Tiles are cut as large as this, */
export const TARGET_BYTES = 2 * 2 ** 20;
/** unless that would leave fewer than this many a phase for devices and threads to share. */
export const LEAST_TILES = 16;

/** Cuts 0..units into even runs of at most `most` units, at least `least` of them where there are as many units. */
export function evenRuns(units: number, most: number, least = LEAST_TILES): [from: number, to: number][] {
  const largest = Math.max(1, Math.min(most, Math.floor(units / least)));
  const runs = Math.min(Math.ceil(units / largest), MAX_PHASE_TILES);
  return Array.from({ length: runs }, (_, i) => [Math.floor((i * units) / runs), Math.floor(((i + 1) * units) / runs)]);
}
