import { type Pass, phaseTime } from './pass-cost.ts';
import type { PhaseWork } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { Division } from './shares.ts';

/**
 * What phases of a pass take when they are divided in some way, without reading from disks. What was worked out once is
 * known by the array of counts: it pays to use the same array for all phases that are divided alike.
 */
export class PhaseTimes {
  readonly #devices: readonly PlannedDevice[];
  readonly #works: readonly PhaseWork[];
  readonly #pass: Pass;
  readonly #known: ReadonlyMap<number, WeakMap<readonly number[], number>>;

  constructor(devices: readonly PlannedDevice[], works: readonly PhaseWork[], pass: Pass) {
    this.#devices = devices;
    this.#works = works;
    this.#pass = pass;
    this.#known = new Map(works.map(({ like }) => [like, new WeakMap()]));
  }

  /** Milliseconds of the whole pass. */
  total(division: Division): number {
    let ms = 0;
    for (let p = 0; p < this.#works.length; p++) ms += this.of(this.#works[p]!, division[p]!);
    return ms;
  }

  /** Milliseconds of one phase. */
  of(work: PhaseWork, counts: readonly number[]): number {
    const known = this.#known.get(work.like)!;
    let ms = known.get(counts);
    if (ms === undefined) {
      ms = phaseTime(this.#devices, work, counts, this.#pass).ms;
      known.set(counts, ms);
    }
    return ms;
  }
}
