import { MAX_ROWS } from '../../../daemon/engine/engine-spec.ts';
import { residentBytes } from '../../../daemon/engine/window-plan.ts';
import { tileBytes } from '../../../daemon/tile/tile.ts';
import { KV_PAGE } from '../../../kernels/formats.ts';
import { kvHeadsOfRun, type PhaseWork } from './phase-work.ts';
import type { Division } from './shares.ts';

/** What a device's share comes to, in bytes. */
export interface ShareSize {
  tiles: number;
  /** Of its tiles; and at most in memory, where each begins at a place of its own. */
  bytes: number;
  resident: number;
  /** Of a page in all of its caches, and how many caches these are. */
  pageBytes: number;
  caches: number;
  /** Of the logits that it gives. */
  logits: number;
}

/** Bytes of the first 0, 1, 2, … tiles of a phase. */
interface Run {
  readonly bytes: Float64Array;
  readonly resident: Float64Array;
}

interface PhaseRuns {
  readonly tiles: Run;
  readonly kv: Run | null;
  /** Bytes of logits of a tile. */
  readonly logits: number;
}

/** Sizes of shares without looking at each of their tiles. */
export class ShareSizes {
  readonly #works: readonly PhaseWork[];
  readonly #runs: readonly PhaseRuns[];

  constructor(works: readonly PhaseWork[]) {
    this.#works = works;
    // Phases that are alike have tiles of the same sizes.
    const runs = new Map<number, PhaseRuns>();
    this.#runs = works.map((work) => {
      const found = runs.get(work.like) ?? runsOf(work);
      runs.set(work.like, found);
      return found;
    });
  }

  /** Of each device. */
  of(division: Division, devices: number): readonly ShareSize[] {
    const sizes = Array.from({ length: devices }, () => ({
      ...{ tiles: 0, bytes: 0, resident: 0, pageBytes: 0, caches: 0, logits: 0 },
    }));
    for (let p = 0; p < this.#works.length; p++) {
      const { kv } = this.#works[p]!;
      const runs = this.#runs[p]!;
      const counts = division[p]!;
      let first = 0;
      for (let d = 0; d < devices; d++) {
        const count = counts[d]!;
        if (count === 0) continue;
        const size = sizes[d]!;
        add(size, runs.tiles, first, first + count);
        size.logits += count * runs.logits;
        if (kv !== null) {
          const [from, end] = kvHeadsOfRun(kv, first, count);
          add(size, runs.kv!, from, end);
          size.pageBytes += (end - from) * kv.positionBytes * KV_PAGE;
          size.caches += end - from;
        }
        first += count;
      }
    }
    return sizes;
  }
}

function add(size: ShareSize, { bytes, resident }: Run, from: number, end: number): void {
  size.tiles += end - from;
  size.bytes += bytes[end]! - bytes[from]!;
  size.resident += resident[end]! - resident[from]!;
}

function runsOf({ tiles, kv, kind, routed }: PhaseWork): PhaseRuns {
  // Experts are dealt out: any of them may be the largest.
  const sizes = tiles.map(tileBytes);
  const largest = Math.max(...sizes);
  return {
    tiles: runOf(routed === null ? sizes : sizes.map(() => largest)),
    kv: kv === null ? null : runOf(kv.tiles.map(tileBytes)),
    logits: kind === 'head' ? Math.max(...tiles.map(({ count }) => count)) * 4 * MAX_ROWS : 0,
  };
}

function runOf(sizes: readonly number[]): Run {
  const bytes = new Float64Array(sizes.length + 1);
  const resident = new Float64Array(sizes.length + 1);
  for (const [i, size] of sizes.entries()) {
    bytes[i + 1] = bytes[i]! + size;
    resident[i + 1] = resident[i]! + residentBytes(size);
  }
  return { bytes, resident };
}
