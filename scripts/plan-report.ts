import type { ConstraintTimes } from '../coordinator/cluster/accounting.ts';
import { rounded } from './bench-statistics.ts';
import type { PlanRun } from './check-plan-coordinator.ts';
import type { DeviceLimits } from './emulated-device.ts';
import type { Home } from './emulated-home.ts';

/** A home, the plan made for it, and what that came to. */
export interface CheckedPlan {
  /** With which it is drawn again. */
  readonly seed: number;
  readonly model: string;
  readonly home: Home;
  readonly run: PlanRun;
  /** The fastest device that holds the whole model, alone, and milliseconds of its tokens; null where none does. */
  readonly alone: { readonly device: number; readonly ms: number } | null;
}

export interface Verdict {
  readonly plans: number;
  /** Whose tokens take as long as predicted, within TOLERANCE. */
  readonly near: number;
  /** Measured by predicted, of the one that is furthest off. */
  readonly worst: number;
  /** Seeds of those whose tokens take longer than a single device's. */
  readonly slower: readonly number[];
  readonly passed: boolean;
}

const TOLERANCE = 0.2;
/** By how much measurements of one thing differ on a machine that others use too. */
const NOISE = 0.05;

const ratioOf = ({ run }: CheckedPlan): number => run.measuredMs / run.predictedMs;

/** @param plans at least one */
export function verdictOf(plans: readonly CheckedPlan[]): Verdict {
  const near = plans.filter((plan) => Math.abs(ratioOf(plan) - 1) <= TOLERANCE).length;
  const off = (ratio: number): number => Math.abs(Math.log(ratio));
  const worst = plans.map(ratioOf).reduce((worst, ratio) => (off(ratio) > off(worst) ? ratio : worst), 1);
  const slower = plans
    .filter(({ run, alone }) => alone !== null && run.measuredMs > (1 + NOISE) * alone.ms)
    .map(({ seed }) => seed);
  const passed = near === plans.length && slower.length === 0;
  return { plans: plans.length, near, worst: rounded(worst, 3), slower, passed };
}

/** Some lines of one home. */
export function planText(plan: CheckedPlan): string {
  const { seed, model, home, run, alone } = plan;
  const limits = [home.serving, ...home.others].map((device, i) => `  ${i}: ${limitsText(device, home, i)}\n`);
  const parts = run.devices.map(
    ({ name, predicted, measured }) =>
      `  ${name}: ${predicted === null ? '' : `predicted ${timesText(predicted)}; `}measured ${timesText(measured)}\n`,
  );
  const best = alone === null ? 'no device holds the model' : `device ${alone.device} alone ${ms(alone.ms)}`;
  return (
    `seed ${seed}, ${model}: predicted ${ms(run.predictedMs)}, measured ${ms(run.measuredMs)}, ` +
    `${ratioOf(plan).toFixed(2)} of it; ${best}; ${run.plan}\n${limits.join('')}${parts.join('')}`
  );
}

export function verdictText({ plans, near, worst, slower, passed }: Verdict): string {
  const single = slower.length === 0 ? 'none' : `those of seeds ${slower.join(', ')}`;
  return (
    `${near} of ${plans} within ${TOLERANCE * 100} % of the prediction, the worst took ${worst} of it; ` +
    `slower than a single device: ${single}; ${passed ? 'passed' : 'failed'}\n`
  );
}

function limitsText({ core, cpu, memory, disk }: DeviceLimits, { others }: Home, i: number): string {
  const own = `${cpu} of core ${core}, ${Math.round(memory / 1e6)} MB, disk ${Math.round(disk / 1e6)} MB/s`;
  const distant = i === 0 ? undefined : others[i - 1];
  return distant === undefined ? own : `${own}, ${distant.delayMs} ms away, ${distant.mbit} Mbit/s`;
}

const timesText = ({ compute, disk, network }: ConstraintTimes): string =>
  `computing ${ms(compute)}, disk ${ms(disk)}, network ${ms(network)}`;

const ms = (value: number): string => `${value.toFixed(1)} ms`;
