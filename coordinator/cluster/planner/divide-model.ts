import { READERS } from '../../../daemon/engine/reader-pool.ts';
import { ringSlots, slotBytesFor } from '../../../daemon/engine/window-plan.ts';
import { PhaseDivider } from './divide-phase.ts';
import { type Evaluator, isSolution, type Solution, type TooSmall } from './evaluator.ts';
import type { PhaseWork } from './phase-work.ts';
import { tokenPass } from './predict.ts';
import type { Division } from './shares.ts';

/** Which devices may compute what. */
export interface Roles {
  readonly attention: readonly boolean[];
  readonly others: readonly boolean[];
  readonly head: readonly boolean[];
  /** Whether each of them has a part of the layers, or of the head, however long its answers take. */
  readonly everyone: { readonly layers: boolean; readonly head: boolean };
}

/** What a device may hold, in bytes of tiles: `kept` in memory, or `beside` when it reads others through a ring. */
interface Room {
  readonly kept: number;
  readonly beside: number;
}

/** Divisions that are tried until every device's memory does. */
const ROUNDS = 8;
/** Halvings of the time that is sought where memory decides: to a few parts in a thousand. */
const HALVINGS = 9;
/** Phases of a kind by which that time is sought. */
const SAMPLE = 8;

/** Divides a model phase by phase. */
export class ModelDivider {
  readonly #evaluator: Evaluator;
  readonly #divider: PhaseDivider;
  /** Of each phase, and of the model. */
  readonly #bytes: readonly number[];
  readonly #all: number;
  readonly #phases: readonly number[];
  /** Some phases that stand for all, and for how many each does. */
  readonly #sample: readonly number[];
  readonly #standsFor: readonly number[];

  constructor(evaluator: Evaluator) {
    const { devices, works, load } = evaluator.problem;
    this.#evaluator = evaluator;
    this.#divider = new PhaseDivider(devices, tokenPass(load));
    this.#bytes = works.map((work) => bytesOf(work) * work.tiles.length);
    this.#all = this.#bytes.reduce((sum, bytes) => sum + bytes, 0);
    this.#phases = [...works.keys()];
    const sample = sampleOf(works);
    this.#sample = [...sample.keys()];
    this.#standsFor = [...sample.values()];
  }

  /**
   * Divides all phases so that a token takes least time: as the devices' speeds say where their memory does, and else so
   * that nobody reads from its disk for longer than a token takes anyway.
   * @returns the reason where it cannot be divided: a device, by its place, whose memory is too small even so, or nobody
   */
  divide(roles: Roles): Solution | TooSmall {
    const { devices } = this.#evaluator.problem;
    const all = devices.map(() => 1);
    let division = this.#divideAll(roles, all);
    if (division === null) return { tooSmall: null, error: null };
    let best: Solution | null = null;
    let tooSmall: TooSmall = { tooSmall: null, error: null };
    // What memory a device has for tiles depends on its caches, and these on its share.
    const slack = devices.map(() => 0);
    for (let round = 0; round < ROUNDS; round++) {
      const found = this.#evaluator.evaluate(division)!;
      if (isSolution(found)) {
        if (best === null || found.tokenMs < best.tokenMs) best = found;
        if (round > 0 || !found.streams) return best;
      } else {
        tooSmall = found;
        if (round > 0) slack[found.tooSmall!] = slack[found.tooSmall!]! + 0.1;
      }
      const next = this.#soonest(roles, this.#rooms(division, slack));
      if (next === null) break;
      division = next;
    }
    return best ?? tooSmall;
  }

  /** Divides each phase by itself. @param parts of each phase that a device may have at most: 1 for all of it */
  #divideAll(roles: Roles, parts: readonly number[], phases = this.#phases): Division | null {
    const { works, devices } = this.#evaluator.problem;
    /** Bytes that a device could have had in phases before and has not. */
    const due = devices.map(() => 0);
    const division: (readonly number[])[] = [];
    for (const p of phases) {
      const work = works[p]!;
      const bytes = this.#bytes[p]! / work.tiles.length;
      const most = devices.map((_, d) => {
        if (!mayHave(roles, work, d)) return 0;
        if (parts[d]! >= 1) return work.tiles.length;
        due[d] = due[d]! + parts[d]! * this.#bytes[p]!;
        return Math.min(work.tiles.length, Math.max(0, Math.floor(due[d]! / bytes + 1e-9)));
      });
      const everyone = work.kind === 'head' ? roles.everyone.head : roles.everyone.layers;
      const counts = this.#divider.divide(work, { most, everyone });
      if (counts === null) return null;
      for (const [d, count] of counts.entries()) if (parts[d]! < 1) due[d] = due[d]! - count * bytes;
      division.push(counts);
    }
    return division;
  }

  /**
   * The division whose token takes least time where devices hold no more than their memory, and what their disk gives
   * within that time.
   */
  #soonest(roles: Roles, rooms: readonly Room[]): Division | null {
    const { problem, token } = this.#evaluator;
    const { works, devices } = problem;
    const within = (ms: number): { readonly parts: readonly number[]; readonly ms: number } | null => {
      const parts = rooms.map(
        ({ kept, beside }, d) => Math.max(kept, beside + ms * devices[d]!.profile.disk) / this.#all,
      );
      const sampled = this.#divideAll(roles, parts, this.#sample);
      if (sampled === null) return null;
      const times = sampled.map((counts, i) => this.#standsFor[i]! * token.of(works[this.#sample[i]!]!, counts));
      return { parts, ms: times.reduce((sum, each) => sum + each, 0) };
    };
    let least = 0;
    let most = 1;
    let found = within(0);
    if (found !== null) most = found.ms;
    else {
      for (; found === null || found.ms > most; most *= 2) {
        found = within(most);
        if (most > 1e9) return null;
        if (found !== null && found.ms <= most) break;
      }
    }
    for (let halving = 0; halving < HALVINGS; halving++) {
      const middle = (least + most) / 2;
      const tried = within(middle);
      if (tried !== null && tried.ms <= middle) {
        found = tried;
        most = middle;
      } else {
        least = middle;
      }
    }
    return this.#divideAll(roles, found.parts);
  }

  /** What is left for tiles beside what a share needs otherwise; less by a part of it, as `slack` says. */
  #rooms(division: Division, slack: readonly number[]): Room[] {
    const { devices } = this.#evaluator.problem;
    const sizes = this.#evaluator.sizesOf(division);
    const kvPages = this.#evaluator.kvPagesFor(sizes);
    return devices.map(({ profile }, d) => {
      const kept = Math.max(0, (1 - slack[d]!) * this.#evaluator.roomFor(d, sizes[d]!, kvPages));
      const slot = slotBytesFor(this.#evaluator.largestTile);
      const ring = ringSlots(kept, slot) * slot + READERS * profile.memory.threadBytes;
      return { kept, beside: Math.max(0, kept - ring) };
    });
  }
}

/** At most SAMPLE of the phases that are alike, evenly spread, and for how many of them each stands. */
function sampleOf(works: readonly PhaseWork[]): ReadonlyMap<number, number> {
  const alike = new Map<number, number[]>();
  for (const [p, { like }] of works.entries()) alike.set(like, [...(alike.get(like) ?? []), p]);
  const sample = [...alike.values()].flatMap((phases) => {
    const taken = Math.min(SAMPLE, phases.length);
    return Array.from({ length: taken }, (_, i): [number, number] => [
      phases[Math.floor((i * phases.length) / taken)]!,
      phases.length / taken,
    ]);
  });
  return new Map(sample.sort(([a], [b]) => a - b));
}

/** Whether a device may have tiles of a phase. */
export const mayHave = ({ attention, others, head }: Roles, { kind }: PhaseWork, d: number): boolean =>
  (kind === 'head' ? head : kind === 'attention' || kind === 'norms' ? attention : others)[d]!;

/** Of a tile, with its part of what comes along. */
const bytesOf = ({ weights, kv, tiles }: PhaseWork): number => {
  const sum = (each: PhaseWork['weights']): number => each.reduce((bytes, [, one]) => bytes + one, 0);
  return sum(weights) + (kv === null ? 0 : (sum(kv.weights) * kv.tiles.length) / tiles.length);
};
