import { MAX_ROWS } from '../../../daemon/engine/engine-spec.ts';
import type { Rates } from '../../../daemon/profile/device-profile.ts';
import { kvHeadsOfRun, type PhaseWork, usedPart, type WeightBytes } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';

/** What one pass over the model computes. */
export interface Pass {
  readonly rows: number;
  /** That each row attends to. */
  readonly positions: number;
  /** Whether the rows are of one text, and so attend to its positions together. */
  readonly isPrompt: boolean;
}

/**
 * Milliseconds of a phase that are the serving device's alone: norms, quantising, the residual stream, and for each
 * other device its frames and adding up its sums. For one row, and for each row more. About what `npm run bench:phases`
 * and `bench:star` measure (docs/PERFORMANCE.md, "What a phase costs").
 */
export const SERVING = { phaseMs: 0.05, deviceMs: 0.03, rowMs: 0.004, deviceRowMs: 0.004 };
/**
 * A thread of the device on which they were measured reads weights at this rate, in bytes a millisecond; others are taken
 * to be slower in proportion.
 */
const SERVING_RATE = 15e6;

/** Milliseconds that a device takes for so many tiles of a phase, with the key/value heads that they read. */
export function computeMs(
  { profile, threads }: PlannedDevice,
  work: PhaseWork,
  pass: Pass,
  tiles: number,
  kvHeads: number,
): number {
  if (tiles === 0) return 0;
  const used = usedPart(work, pass.rows);
  const { routed } = work;
  const rows = routed === null ? pass.rows : Math.max(1, (pass.rows * routed.used) / (routed.networks * used));
  const cached = cachedOf(work, pass);
  const time = (by: 'lone' | 'all'): number => {
    const weights = tiles * used * weightMs(work.weights, profile.formats, rows, by);
    if (work.kv === null) return weights;
    const attended = (tiles * cached.bytes * growth(profile.attention, cached.rows)) / profile.attention[by];
    return weights + attended + kvHeads * weightMs(work.kv.weights, profile.formats, rows, by);
  };
  return profile.phaseMs + wavesMs(time('all'), time('lone'), tiles * used + kvHeads, threads);
}

/** Bytes of keys and values that a tile reads, and for how many rows at a time. */
function cachedOf({ kv }: PhaseWork, { rows, positions, isPrompt }: Pass): { bytes: number; rows: number } {
  if (kv === null) return { bytes: 0, rows: 1 };
  const seen = kv.window === 0 ? positions : Math.min(positions, kv.window);
  const heads = Math.max(1, kv.tileHeads / kv.group);
  const bytes = seen * kv.positionBytes * heads;
  return isPrompt ? { bytes, rows } : { bytes: bytes * rows, rows: 1 };
}

function weightMs(
  weights: WeightBytes,
  formats: PlannedDevice['profile']['formats'],
  rows: number,
  by: 'lone' | 'all',
): number {
  let ms = 0;
  for (const [format, bytes] of weights) {
    const rates = formats[format];
    if (rates === undefined) throw new RangeError(`a profile has no rate for ${format}`);
    ms += (bytes * growth(rates, rows)) / rates[by];
  }
  return ms;
}

/** Of the time for one row, what more rows do not add to: reading weights, where memory binds. */
const READING = 0.7;

/**
 * How many times longer so many rows take than one does: nothing more for a few, while memory binds, and from there on
 * in proportion, up to MAX_ROWS as measured.
 */
function growth({ all, wide }: Rates, rows: number): number {
  const most = Math.max(1, all / wide);
  return Math.max(1, READING + ((rows - 1) / (MAX_ROWS - 1)) * (most - READING));
}

/**
 * Threads take one task after the other; in the last round there may be fewer tasks than threads.
 * @param all that the tasks take when all threads are busy
 * @param lone that one thread alone would take for all of them
 */
function wavesMs(all: number, lone: number, tasks: number, threads: number): number {
  const last = tasks % threads;
  return (
    all * (1 - last / tasks) + (last === 0 ? 0 : Math.max((all * last) / tasks, (lone * Math.min(1, last)) / tasks))
  );
}

/** Milliseconds until the answer of another device is back, beside what it computes. */
export function networkMs({ link }: PlannedDevice, work: PhaseWork, { rows }: Pass, tiles: number): number {
  if (link === null || tiles === 0) return 0;
  return link.roundTripMs + (rows * (work.inputBytes + answerBytes(work, tiles))) / link.bytesPerMs;
}

/** Bytes that a device with so many tiles sends back for a row. */
export const answerBytes = (work: PhaseWork, tiles: number): number => work.answerBytes + tiles * work.tileAnswerBytes;

/** What all devices take for one phase. */
export interface PhaseTime {
  readonly ms: number;
  /** Of each device; 0 of one that has no tiles. */
  readonly computeMs: readonly number[];
  readonly networkMs: readonly number[];
}

/**
 * Milliseconds of a phase: the serving device's own work, and the slowest device.
 * @param counts tiles of each device, in the order of the devices
 */
export function phaseTime(
  devices: readonly PlannedDevice[],
  work: PhaseWork,
  counts: readonly number[],
  pass: Pass,
): PhaseTime {
  let first = 0;
  const compute = devices.map((device, d) => {
    const count = counts[d]!;
    const [from, end] = work.kv === null ? [0, 0] : kvHeadsOfRun(work.kv, first, count);
    first += count;
    return computeMs(device, work, pass, count, end - from);
  });
  const network = devices.map((device, d) => networkMs(device, work, pass, counts[d]!));
  const slowest = Math.max(...compute.map((ms, d) => ms + network[d]!));
  return {
    ms: servingMs(devices, counts, pass) + slowest + sharedLinkMs(devices, work, counts, pass),
    computeMs: compute,
    networkMs: network,
  };
}

export function servingMs(devices: readonly PlannedDevice[], counts: readonly number[], { rows }: Pass): number {
  const others = devices.filter(({ link }, d) => link !== null && counts[d]! > 0).length;
  const { phaseMs, deviceMs, rowMs, deviceRowMs } = SERVING;
  return slowness(devices) * (phaseMs + others * deviceMs + (rows - 1) * (rowMs + others * deviceRowMs));
}

/** How many times longer the serving device takes for what is not tiles than the one that was measured. */
export function slowness(devices: readonly PlannedDevice[]): number {
  const serving = devices.find(({ link }) => link === null);
  if (serving === undefined) return 1;
  let rate = 0;
  for (const rates of Object.values(serving.profile.formats)) rate = Math.max(rate, rates?.lone ?? 0);
  return Math.max(1, SERVING_RATE / rate);
}

/**
 * By how much devices hold each other up: answers come in over the serving device's own connection, which is taken to be
 * as fast as the fastest link, and devices that are done at the same time answer at the same time. That inputs leave one
 * after the other spreads the answers as much.
 */
export function sharedLinkMs(
  devices: readonly PlannedDevice[],
  work: PhaseWork,
  counts: readonly number[],
  { rows }: Pass,
): number {
  let bytes = 0;
  let most = 0;
  let fastest = 0;
  for (const [d, { link }] of devices.entries()) {
    if (link === null) continue;
    fastest = Math.max(fastest, link.bytesPerMs);
    if (counts[d] === 0) continue;
    const own = rows * answerBytes(work, counts[d]!);
    bytes += own;
    most = Math.max(most, own);
  }
  return bytes === most ? 0 : (bytes - most) / fastest;
}

/** Milliseconds of all phases, if no tile has to be read from a disk. @param division tiles by phase and device */
export function phasesMs(
  devices: readonly PlannedDevice[],
  works: readonly PhaseWork[],
  division: readonly (readonly number[])[],
  pass: Pass,
): number {
  const known = new Map<string, number>();
  return works.reduce((sum, work, p) => {
    const key = `${work.like}/${division[p]!.join()}`;
    const ms = known.get(key) ?? phaseTime(devices, work, division[p]!, pass).ms;
    known.set(key, ms);
    return sum + ms;
  }, 0);
}
