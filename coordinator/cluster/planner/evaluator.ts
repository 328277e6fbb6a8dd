import { type EngineSpec, MAX_ROWS } from '../../../daemon/engine/engine-spec.ts';
import { arenaBytesOf } from '../../../daemon/engine/memory-plan.ts';
import { PAGE } from '../../../daemon/engine/window-plan.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import { type TileShape, tileBytes } from '../../../daemon/tile/tile.ts';
import { kvBytes, kvCapacity } from '../../kv/kv-capacity.ts';
import { deviceMemory } from './device-memory.ts';
import { PhaseTimes } from './phase-times.ts';
import type { PhaseWork } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import { type Load, layersOf, promptPass, promptTime, readingOf, tokenPass } from './predict.ts';
import { type ShareSize, ShareSizes } from './share-sizes.ts';
import { type Division, shareOf } from './shares.ts';

/** A model and what it is to be computed by, and for whom. */
export interface Problem {
  readonly works: readonly PhaseWork[];
  readonly engine: Omit<EngineSpec, 'kvPages'>;
  /** The serving one first. */
  readonly devices: readonly PlannedDevice[];
  readonly load: Load;
  /** Conversations of full length that the caches hold, where memory allows. */
  readonly conversations?: number;
}

/** A division for which there is memory, and what it takes. */
export interface Solution {
  readonly division: Division;
  readonly kvPages: number;
  readonly tokenMs: number;
  readonly promptMs: number;
  /** Whether some device reads tiles in every pass. */
  readonly streams: boolean;
}

/**
 * No solution: the memory of the device in this place is too small, and why; or, without a device, nobody may compute
 * some tile, or the first token would come too late.
 */
export interface TooSmall {
  readonly tooSmall: number | null;
  readonly error: StarlingError | null;
}

export const isSolution = (found: Solution | TooSmall): found is Solution => 'division' in found;

/** Milliseconds that a solution has to stay below, of a token; and of a prompt, or be the same. */
export interface Bound {
  readonly tokenMs: number;
  readonly promptMs: number;
}

const UNBOUND: Bound = { tokenMs: Number.POSITIVE_INFINITY, promptMs: Number.POSITIVE_INFINITY };

/** What dividing memory tile by tile takes of effort. */
const WINDOW_TRIALS = 30;
/** Bytes of each KV page in the page tables of a step's rows. */
const PAGE_TABLE = MAX_ROWS * 4;

/** What a device reads in every pass, and of experts, where one is used. */
interface Streamed {
  readonly streamedBytes: number;
  readonly streamedExpertBytes: number;
}

/**
 * What divisions of a model would take: as `predict` says, but at once. Whether a share fits is mostly plain from its
 * size; only where that is not so is memory divided tile by tile.
 */
export class Evaluator {
  readonly problem: Problem;
  readonly token: PhaseTimes;
  /** Bytes of the largest tile, and of all. */
  readonly largestTile: number;
  readonly modelBytes: number;
  /** What was done so far: how often a device, phase or tile was looked at. */
  effort = 0;
  readonly #prompt: PhaseTimes;
  readonly #sizes: ShareSizes;
  readonly #tileBytes: ReadonlyMap<TileShape, number>;
  readonly #isMixture: boolean;
  /** Bytes of each device's engine that no tile adds to, for one KV page. */
  readonly #buffers: readonly number[];
  readonly #streamed = new Map<string, Streamed | StarlingError>();

  constructor(problem: Problem) {
    const { works, engine, devices, load } = problem;
    this.problem = problem;
    this.token = new PhaseTimes(devices, works, tokenPass(load));
    // Its last row alone goes through the head, which comes last.
    this.#prompt = new PhaseTimes(devices, layersOf(works), promptPass(load));
    const all = works.flatMap(({ tiles, kv }) => [...tiles, ...(kv?.tiles ?? [])]);
    this.#tileBytes = new Map(all.map((tile) => [tile, tileBytes(tile)]));
    this.#isMixture = works.some(({ routed }) => routed !== null);
    this.#sizes = new ShareSizes(works);
    const whole = this.#sizes.of(
      works.map(({ tiles }) => [tiles.length]),
      1,
    )[0]!;
    this.modelBytes = whole.bytes;
    const samples = works.filter(({ like }, p) => like === p);
    const tiles = samples.flatMap((work) => [...work.tiles, ...(work.kv?.tiles ?? [])]);
    this.largestTile = Math.max(0, ...tiles.map(tileBytes));
    // Logits are counted by the tiles that give them.
    const ofLayers = tiles.filter(({ kind }) => kind !== 'head' && kind !== 'kv');
    this.#buffers = devices.map((device) => {
      const found = deviceMemory(unbound(device), { ...engine, kvPages: 1 }, ofLayers);
      return found instanceof StarlingError ? 0 : found.parts.buffers;
    });
  }

  sizesOf(division: Division): readonly ShareSize[] {
    return this.#sizes.of(division, this.problem.devices.length);
  }

  /** KV pages for shares of these sizes. */
  kvPagesFor(sizes: readonly ShareSize[]): number {
    const { devices, load, conversations } = this.problem;
    const caches = devices.map(({ profile, backend }, d) => ({
      bytes: kvBytes({ memoryBytes: profile.memory.budget, backend }, sizes[d]!.bytes),
      pageBytes: sizes[d]!.pageBytes,
    }));
    return kvCapacity(load.context, caches, conversations);
  }

  /** Bytes that are left for the tiles of a share, at least. */
  roomFor(d: number, { pageBytes, caches, logits }: ShareSize, kvPages: number): number {
    const { profile, threads, backend } = this.problem.devices[d]!;
    const { budget, base, threadBytes } = profile.memory;
    const inArena = kvPages * pageBytes + (caches + 2) * PAGE + this.#buffers[d]! + kvPages * PAGE_TABLE + logits;
    return Math.min(budget - base - threads * threadBytes, arenaBytesOf(backend)) - inArena;
  }

  /**
   * @returns null where a token takes longer than the bound allows, whatever memory there is
   */
  evaluate(division: Division, bound: Bound = UNBOUND): Solution | TooSmall | null {
    const { works, devices, load } = this.problem;
    this.effort += works.length;
    let tokenMs = this.token.total(division);
    if (tokenMs >= bound.tokenMs) return null;
    let layersMs = this.#prompt.total(division);
    if (promptTime(layersMs, load) > bound.promptMs) return { tooSmall: null, error: null };
    this.effort += (works.length * devices.length) / 4;
    const sizes = this.sizesOf(division);
    const kvPages = this.kvPagesFor(sizes);
    const over = sizes.map((size, d) => (size.tiles === 0 ? 0 : size.resident - this.roomFor(d, size, kvPages)));
    const tight = [...over.keys()].filter((d) => over[d]! > 0);
    // What has to be read at least, as buffers may take nothing at all.
    const leastMs = (d: number): number => (over[d]! - this.#buffers[d]!) / devices[d]!.profile.disk;
    const slow = tight.find((d) => !this.#isMixture && leastMs(d) > bound.tokenMs);
    if (slow !== undefined) return { tooSmall: slow, error: null };
    const computing = { token: tokenMs, layers: layersMs };
    let streams = false;
    for (const d of tight) {
      const found = this.#streamedOf(division, d, kvPages);
      if (found instanceof StarlingError) return { tooSmall: d, error: found };
      const ofToken = readingOf(works, found, tokenPass(load), devices[d]!);
      const ofPrompt = readingOf(works, found, promptPass(load), devices[d]!);
      tokenMs = Math.max(tokenMs, ofToken.diskMs, computing.token + ofToken.coreMs);
      layersMs = Math.max(layersMs, ofPrompt.diskMs, computing.layers + ofPrompt.coreMs);
      if (tokenMs >= bound.tokenMs || promptTime(layersMs, load) > bound.promptMs) return { tooSmall: d, error: null };
      streams ||= found.streamedBytes + found.streamedExpertBytes > 0;
    }
    return { division, kvPages, tokenMs, promptMs: promptTime(layersMs, load), streams };
  }

  #streamedOf(division: Division, d: number, kvPages: number): Streamed | StarlingError {
    const { works, engine, devices } = this.problem;
    const share = shareOf(works, division, d);
    const key = `${d}/${kvPages}/${works.map((work, p) => runKey(work, division[p]!, d)).join()}`;
    let found = this.#streamed.get(key);
    if (found === undefined) {
      this.effort += share.length * WINDOW_TRIALS;
      const sizes = share.map((tile) => this.#tileBytes.get(tile)!);
      found = deviceMemory(devices[d]!, { ...engine, kvPages }, share, sizes);
      this.#streamed.set(key, found);
    }
    return found;
  }
}

/** Which tiles of a phase a device has. */
function runKey(work: PhaseWork, counts: readonly number[], device: number): string {
  if (work.routed !== null) return counts.join(' ');
  const first = counts.reduce((sum, count, d) => (d < device ? sum + count : sum), 0);
  return counts[device] === 0 ? '' : `${first} ${counts[device]}`;
}

const unbound = (device: PlannedDevice): PlannedDevice => ({
  ...device,
  profile: { ...device.profile, memory: { ...device.profile.memory, budget: Number.MAX_SAFE_INTEGER } },
});
