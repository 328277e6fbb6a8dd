import { computeMs, networkMs, type Pass, servingMs, sharedLinkMs } from './pass-cost.ts';
import type { PhaseWork } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';

/** Which tiles a device may be given. */
export interface Limits {
  /** Most tiles of the phase for each device; 0 leaves it out. */
  readonly most: readonly number[];
  /** Every device that may have a tile has one, where there are enough, however long its answer takes. */
  readonly everyone: boolean;
}

/** Milliseconds of each device for 0, 1, 2, … tiles. */
type Ladders = readonly Float64Array[];

/** Divides phases of a pass over devices; what it has worked out for a phase holds for all that are like it. */
export class PhaseDivider {
  readonly #devices: readonly PlannedDevice[];
  readonly #pass: Pass;
  readonly #ladders = new Map<string, Ladders>();
  readonly #divided = new Map<string, readonly number[] | null>();

  constructor(devices: readonly PlannedDevice[], pass: Pass) {
    this.#devices = devices;
    this.#pass = pass;
  }

  /**
   * Divides the tiles of one phase so that the slowest device is done soonest: each tile in turn goes to whoever is then
   * done first. With tiles that are alike that is the best there is; who would only hold the others up gets none.
   * @returns tiles of each device; null where the limits leave tiles over
   */
  divide(work: PhaseWork, { most, everyone }: Limits): readonly number[] | null {
    const key = `${everyone}/${work.like}/${most.join()}`;
    let counts = this.#divided.get(key);
    if (counts === undefined) {
      counts = everyone ? this.#everyone(work, most) : this.#fewest(work, most);
      this.#divided.set(key, counts);
    }
    return counts;
  }

  #everyone(work: PhaseWork, most: readonly number[]): readonly number[] | null {
    let left = work.tiles.length;
    const counts = most.map((each) => {
      const count = Math.min(1, each, left);
      left -= count;
      return count;
    });
    return fill(this.#laddersOf(work, true), counts, most, left) ? counts : null;
  }

  /** Each device that answers is work for the serving one: perhaps fewer do as well. */
  #fewest(work: PhaseWork, most: readonly number[]): readonly number[] | null {
    const ladders = this.#laddersOf(work, false);
    const allowed = [...most];
    const counts = most.map(() => 0);
    let best: { readonly counts: readonly number[]; readonly ms: number } | null = null;
    for (let left = work.tiles.length; fill(ladders, counts, allowed, left); ) {
      const slowest = counts.reduce((ms, count, d) => Math.max(ms, ladders[d]![count]!), 0);
      const shared = sharedLinkMs(this.#devices, work, counts, this.#pass);
      const ms = servingMs(this.#devices, counts, this.#pass) + slowest + shared;
      if (best === null || ms < best.ms) best = { counts: [...counts], ms };
      const least = this.#leastUseful(counts);
      if (least < 0) break;
      // Who has tiles keeps them: they are those that it would be given without that device.
      left = counts[least]!;
      counts[least] = 0;
      allowed[least] = 0;
    }
    return best?.counts ?? null;
  }

  /** The other device with the fewest tiles; −1 where there is none. */
  #leastUseful(counts: readonly number[]): number {
    let least = -1;
    for (const [d, { link }] of this.#devices.entries()) {
      if (link === null || counts[d] === 0) continue;
      if (least < 0 || counts[d]! < counts[least]!) least = d;
    }
    return least;
  }

  /** @param everyone without the way to the device and back, for which nobody is left out then */
  #laddersOf(work: PhaseWork, everyone: boolean): Ladders {
    const key = `${everyone}/${work.like}`;
    const known = this.#ladders.get(key);
    if (known !== undefined) return known;
    const ladders = this.#devices.map((device) =>
      Float64Array.from({ length: work.tiles.length + 1 }, (_, count) => {
        // Where a run begins is not known yet: as many key/value heads as it has at least.
        const kvHeads = work.kv === null ? 0 : Math.ceil((count * work.kv.tileHeads) / work.kv.group);
        const alone = computeMs(device, work, this.#pass, count, kvHeads);
        return everyone ? alone : alone + networkMs(device, work, this.#pass, count);
      }),
    );
    this.#ladders.set(key, ladders);
    return ladders;
  }
}

/** Gives so many tiles out, each to whoever is then done first. @returns false where the limits leave some over */
function fill(ladders: Ladders, counts: number[], most: readonly number[], tiles: number): boolean {
  for (let left = tiles; left > 0; left--) {
    let next = -1;
    let soonest = Number.POSITIVE_INFINITY;
    for (let d = 0; d < counts.length; d++) {
      const count = counts[d]! + 1;
      if (count > most[d]! || ladders[d]![count]! >= soonest) continue;
      soonest = ladders[d]![count]!;
      next = d;
    }
    if (next < 0) return false;
    counts[next]!++;
  }
  return true;
}
