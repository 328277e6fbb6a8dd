import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { cachePageBytes } from '../../../daemon/engine/layout.ts';
import { arenaBytesOf } from '../../../daemon/engine/memory-plan.ts';
import { READERS } from '../../../daemon/engine/reader-pool.ts';
import { ringSlots, slotBytesFor } from '../../../daemon/engine/window-plan.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { type TileShape, tileBytes } from '../../../daemon/tile/tile.ts';
import { kvCapacity, kvDevice } from '../../kv/kv-capacity.ts';
import { type DeviceMemory, deviceMemory } from './device-memory.ts';
import { PhaseDivider } from './divide-phase.ts';
import { phasesMs } from './pass-cost.ts';
import type { PhaseWork } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import { type Load, type Prediction, predict, tokenPass } from './predict.ts';
import { type Division, sharesOf } from './shares.ts';

/** A model and what it is to be computed by, and for whom. */
export interface Problem {
  readonly works: readonly PhaseWork[];
  readonly engine: Omit<EngineSpec, 'kvPages'>;
  /** The serving one first. */
  readonly devices: readonly PlannedDevice[];
  readonly load: Load;
  /** Conversations of full length that the caches hold, where memory allows. */
  readonly conversations?: number;
  /** KV pages that there are already, and are to stay. */
  readonly kvPages?: number;
}

/** Which devices may compute what. */
export interface Roles {
  readonly attention: readonly boolean[];
  readonly others: readonly boolean[];
  readonly head: readonly boolean[];
  /** Whether each of them has a part of the layers, or of the head, however long its answers take. */
  readonly everyone: { readonly layers: boolean; readonly head: boolean };
}

export interface Solution {
  readonly division: Division;
  readonly shares: readonly (readonly TileShape[])[];
  readonly kvPages: number;
  readonly predicted: Prediction;
}

/** No division, as the memory of the device in this place is too small in any, and why; or since nobody may compute some tile. */
export interface TooSmall {
  readonly tooSmall: number | null;
  readonly error: StarlingError | null;
}

export const isSolution = (found: Solution | TooSmall): found is Solution => 'division' in found;

/** What a device may hold, in bytes of tiles: `kept` in memory, or `beside` when it reads others through a ring. */
interface Room {
  readonly kept: number;
  readonly beside: number;
}

/** Divisions that are tried until every device's memory does. */
const ROUNDS = 8;
/** Halvings of the time that is sought where memory decides: to a few parts in a thousand. */
const HALVINGS = 9;

/**
 * Divides all phases so that a token takes least time: as the devices' speeds say where their memory does, and else so
 * that nobody reads from its disk for longer than a token takes anyway.
 * @returns the reason where it cannot be divided: a device, by its place, whose memory is too small even so, or nobody
 */
export function divideModel(problem: Problem, roles: Roles): Solution | TooSmall {
  const { devices } = problem;
  const divider = new PhaseDivider(devices, tokenPass(problem.load));
  let division = divideAll(
    problem,
    roles,
    divider,
    devices.map(() => 1),
  );
  if (division === null) return { tooSmall: null, error: null };
  let best: Solution | null = null;
  let tooSmall: TooSmall = { tooSmall: null, error: null };
  // What memory a device has for tiles depends on its caches, and these on its share.
  const slack = devices.map(() => 0);
  for (let round = 0; round < ROUNDS; round++) {
    const { solution, shares, kvPages, failed } = inMemory(problem, division);
    if (solution !== null) {
      if (best === null || solution.predicted.tokenMs < best.predicted.tokenMs) best = solution;
      if (round > 0 || solution.predicted.devices.every(({ memory }) => memory.streamedTiles === 0)) return best;
    } else {
      tooSmall = failed;
      if (round > 0) slack[failed.tooSmall!] = slack[failed.tooSmall!]! + 0.1;
    }
    const spec = { ...problem.engine, kvPages };
    const rooms = devices.map((device, d) => roomOf(device, spec, shares[d]!, 1 - slack[d]!));
    const found = soonest(problem, roles, divider, rooms);
    if (found === null) break;
    division = found;
  }
  return best ?? tooSmall;
}

/** What a division comes to: its shares, and how many KV pages there are then. */
export type InMemory = { readonly shares: readonly (readonly TileShape[])[]; readonly kvPages: number } & (
  | { readonly solution: Solution; readonly failed: null }
  | { readonly solution: null; readonly failed: TooSmall }
);

/** How the devices' memory would be divided, and what a token takes then. */
export function inMemory(problem: Problem, division: Division): InMemory {
  const { works, engine, devices, load, conversations } = problem;
  const shares = sharesOf(works, division, devices.length);
  const pageBytes = (tile: TileShape): number => cachePageBytes(engine, tile);
  const caches = devices.map(({ profile, backend }, d) =>
    kvDevice({ memoryBytes: profile.memory.budget, backend }, shares[d]!, pageBytes),
  );
  const kvPages = problem.kvPages ?? kvCapacity(load.context, caches, conversations);
  const spec = { ...engine, kvPages };
  const memories: DeviceMemory[] = [];
  for (const [d, device] of devices.entries()) {
    const memory = deviceMemory(device, spec, shares[d]!);
    if (memory instanceof StarlingError) {
      return { shares, kvPages, solution: null, failed: { tooSmall: d, error: memory } };
    }
    memories.push(memory);
  }
  const predicted = predict(works, devices, division, memories, load);
  return { shares, kvPages, solution: { division, shares, kvPages, predicted }, failed: null };
}

/** Divides each phase by itself. @param parts of each phase that a device may have at most: 1 for all of it */
function divideAll(
  { works, devices }: Problem,
  roles: Roles,
  divider: PhaseDivider,
  parts: readonly number[],
): (readonly number[])[] | null {
  /** Tiles that a device could have had in phases before and has not. */
  const due = devices.map(() => 0);
  const division: (readonly number[])[] = [];
  for (const work of works) {
    const bytes = work.weights.reduce((sum, [, each]) => sum + each, 0);
    const most = devices.map((_, d) => {
      if (!mayHave(roles, work, d)) return 0;
      if (parts[d]! >= 1) return work.tiles.length;
      due[d] = due[d]! + parts[d]! * work.tiles.length * bytes;
      return Math.max(0, Math.floor(due[d]! / bytes + 1e-9));
    });
    const everyone = work.kind === 'head' ? roles.everyone.head : roles.everyone.layers;
    const counts = divider.divide(work, { most, everyone });
    if (counts === null) return null;
    for (const [d, count] of counts.entries()) if (parts[d]! < 1) due[d] = due[d]! - count * bytes;
    division.push(counts);
  }
  return division;
}

/** Whether a device may have tiles of a phase. */
export const mayHave = ({ attention, others, head }: Roles, { kind }: PhaseWork, d: number): boolean =>
  (kind === 'head' ? head : kind === 'attention' || kind === 'norms' ? attention : others)[d]!;

/**
 * The division whose token takes least time where devices hold no more than their memory, and what their disk gives
 * within that time.
 */
function soonest(
  problem: Problem,
  roles: Roles,
  divider: PhaseDivider,
  rooms: readonly Room[],
): (readonly number[])[] | null {
  const { works, devices, load } = problem;
  const all = works.reduce((sum, work) => sum + work.tiles.length * bytesOf(work), 0);
  const within = (ms: number): { division: (readonly number[])[]; ms: number } | null => {
    const parts = rooms.map(({ kept, beside }, d) => Math.max(kept, beside + ms * devices[d]!.profile.disk) / all);
    const division = divideAll(problem, roles, divider, parts);
    return division === null ? null : { division, ms: phasesMs(devices, works, division, tokenPass(load)) };
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
  return found.division;
}

const bytesOf = ({ weights, kv, tiles }: PhaseWork): number => {
  const sum = (each: PhaseWork['weights']): number => each.reduce((bytes, [, one]) => bytes + one, 0);
  return sum(weights) + (kv === null ? 0 : (sum(kv.weights) * kv.tiles.length) / tiles.length);
};

/** What is left for tiles beside what a share needs otherwise; `part` of it. */
function roomOf(device: PlannedDevice, spec: EngineSpec, share: readonly TileShape[], part: number): Room {
  const { memory } = device.profile;
  const unbound = { ...device, profile: { ...device.profile, memory: { ...memory, budget: Number.MAX_SAFE_INTEGER } } };
  const needed = deviceMemory(unbound, spec, share);
  if (needed instanceof StarlingError) return { kept: 0, beside: 0 };
  const { base, threads, caches, buffers } = needed.parts;
  const inArena = arenaBytesOf(device.backend) - caches - buffers;
  const kept = Math.max(0, part * Math.min(inArena, memory.budget - base - threads - caches - buffers));
  const slot = slotBytesFor(Math.max(0, ...share.map((tile) => tileBytes(tile))));
  const ring = ringSlots(kept, slot) * slot + READERS * memory.threadBytes;
  return { kept, beside: Math.max(0, kept - ring) };
}
