import { type DecodeResult, decodeResult, type Range, range, tokenMs } from './bench-decode.ts';
import type { ScalingTimes } from './bench-scaling-coordinator.ts';
import { median, rounded, spread } from './bench-statistics.ts';
import type { Configuration, ScalingPlan } from './scaling-plan.ts';
import type { CommonTask, PlacedProcess, ScalingRun } from './scaling-run.ts';
import type { TimeDivision } from './time-division.ts';

/** One configuration: medians over its runs, and from where to where they went. */
export interface ConfigurationReport extends DecodeResult {
  readonly threads: number;
  readonly processes: readonly PlacedProcess[];
  /** Of the mean token, and of the whole prompt. */
  readonly decode_division: TimeDivision;
  readonly prefill_division: TimeDivision;
}

/**
 * How much faster one configuration was than another: above 1 it was. Of the runs in pairs, one soon after the other.
 */
export interface SpeedRatio {
  readonly decode: number;
  readonly decode_spread: Range;
  readonly prefill: number;
  readonly prefill_spread: Range;
}

export interface DevicesReport extends ConfigurationReport {
  readonly devices: number;
  /** There are more processes than cores: they take turns, and devices cannot add up. */
  readonly shared_cores: boolean;
  /** Over one device with one thread. */
  readonly speed_up: SpeedRatio;
  /** One device with as many threads, as far as there are cores. */
  readonly bound: ConfigurationReport;
  readonly of_bound: SpeedRatio;
}

export interface BusyReport extends ConfigurationReport {
  readonly busy_core: string;
  /** The same devices without the busy process over those beside it: how many times slower it made them. */
  readonly slow_down: SpeedRatio;
}

/** The runs of each configuration, in the order in which they were made. */
export type Runs = ReadonlyMap<Configuration, readonly ScalingRun[]>;

/**
 * All that was measured has the same logits, however it was computed.
 * @throws Error naming those that do not
 */
export function requireSameLogits(measured: readonly { readonly name: string; readonly sha256: string }[]): void {
  const [first] = measured;
  const others = new Set(measured.filter(({ sha256 }) => sha256 !== first?.sha256).map(({ name }) => name));
  if (others.size > 0) throw new Error(`${[...others].join(', ')} computed other logits than ${first?.name}`);
}

export function nameOf({ devices, threads, busy }: Configuration): string {
  const whole = `${devices} ${devices === 1 ? 'device' : 'devices'}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return busy === null ? whole : `${whole}, core ${busy} busy`;
}

export function devicesReports(plan: ScalingPlan, runs: Runs, task: CommonTask, cores: number): DevicesReport[] {
  return plan.counts.map(({ many, bound }) => ({
    devices: many.devices,
    shared_cores: many.devices > cores,
    ...configurationReport(many, runs, task),
    speed_up: speedRatio(runs, many, plan.one),
    bound: configurationReport(bound, runs, task),
    of_bound: speedRatio(runs, many, bound),
  }));
}

export function busyReport({ busy, counts }: ScalingPlan, runs: Runs, task: CommonTask): BusyReport | null {
  const free = counts.find(({ many }) => many.devices === busy?.devices)?.many;
  if (busy === null || busy.busy === null || free === undefined) return null;
  return {
    busy_core: busy.busy,
    ...configurationReport(busy, runs, task),
    slow_down: speedRatio(runs, free, busy),
  };
}

function configurationReport(of: Configuration, runs: Runs, task: CommonTask): ConfigurationReport {
  const all = runsOf(runs, of);
  const times = all.map((run) => run.times);
  return {
    threads: of.threads,
    processes: all[0]!.processes,
    ...decodeResult({ ...task, threads: of.threads }, times),
    decode_division: middleDivision(times.map(({ decode_division }) => decode_division)),
    prefill_division: middleDivision(times.map(({ prefill_division }) => prefill_division)),
  };
}

function middleDivision(divisions: readonly TimeDivision[]): TimeDivision {
  const middle = (name: keyof TimeDivision): number => rounded(median(divisions.map((each) => each[name])));
  return {
    own_compute_ms: middle('own_compute_ms'),
    remote_compute_ms: middle('remote_compute_ms'),
    star_ms: middle('star_ms'),
    coordinator_ms: middle('coordinator_ms'),
  };
}

function speedRatio(runs: Runs, faster: Configuration, slower: Configuration): SpeedRatio {
  const others = runsOf(runs, slower);
  const pairs = runsOf(runs, faster).map(({ times }, i) => [times, others[i]!.times] as const);
  const ratios = (ms: (times: ScalingTimes) => number) => spread(pairs.map(([fast, slow]) => ms(slow) / ms(fast)));
  const decode = ratios(tokenMs);
  const prefill = ratios(({ prefill_ms }) => prefill_ms);
  return {
    decode: rounded(decode.median, 3),
    decode_spread: range(decode, 3),
    prefill: rounded(prefill.median, 3),
    prefill_spread: range(prefill, 3),
  };
}

function runsOf(runs: Runs, of: Configuration): readonly ScalingRun[] {
  const found = runs.get(of);
  if (found === undefined || found.length === 0) throw new RangeError(`${nameOf(of)} was not measured`);
  return found;
}
