import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import type { Constraint } from '../accounting.ts';
import { type Alternative, alternatives } from './alternatives.ts';
import type { LeftOut } from './left-out.ts';
import { type Plan, type PlanWishes, plan as planModel } from './plan.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { DevicePrediction, Prediction } from './predict.ts';

/** What a set of devices is expected to take, in milliseconds: a step that gives each user a token, and a prompt. */
export interface ReportedTimes {
  readonly token_ms: number;
  readonly prompt_ms: number;
  readonly prompt_tokens: number;
}

/** What one device would do for a token. */
export interface ReportedDevice {
  readonly id: string;
  readonly name: string;
  /** Of the weights that all hold together; 1 is all of them. */
  readonly share: number;
  /** Resident, all included, of what it may have. */
  readonly memory_bytes: number;
  readonly budget_bytes: number;
  /** From its disk, for a token. */
  readonly read_bytes: number;
  readonly compute_ms: number;
  readonly disk_ms: number;
  readonly network_ms: number;
}

export interface ReportedPlan extends ReportedTimes {
  readonly binding: Constraint;
  readonly head: Plan['head'];
  readonly devices: readonly ReportedDevice[];
  readonly left_out: readonly ReportedLeftOut[];
}

export interface ReportedLeftOut extends Omit<LeftOut, 'tokenMs'> {
  readonly token_ms: number | null;
}

export interface ReportedAlternative {
  readonly kind: Alternative['kind'];
  /** Ids of the devices that would compute. */
  readonly devices: readonly string[];
  /** Such as "kitchen alone". */
  readonly title: string;
  /** Null where they cannot hold the model. */
  readonly times: ReportedTimes | null;
  /** Then what is lacking. */
  readonly why: string | null;
}

/** What `starling plan --json` prints. */
export interface PlanReport {
  readonly model: string;
  readonly context: number;
  readonly users: number;
  /** Null where no set of the devices can hold the model. */
  readonly plan: ReportedPlan | null;
  readonly alternatives: readonly ReportedAlternative[];
}

export interface ReportOptions {
  /** The model's name. */
  readonly model: string;
  readonly tiles: readonly TileShape[];
  readonly engine: Omit<EngineSpec, 'kvPages'>;
  /** The serving one first. */
  readonly devices: readonly PlannedDevice[];
  readonly wishes: PlanWishes;
}

/** Plans, and compares. @returns also the error of a plan that there cannot be: memory_too_small */
export function planReport({ model, tiles, engine, devices, wishes }: ReportOptions): {
  readonly report: PlanReport;
  readonly error: StarlingError | null;
} {
  const { context, users } = wishes;
  const reportOf = (plan: Plan | null): PlanReport => ({
    ...{ model, context, users },
    plan: plan === null ? null : reportPlan(plan, devices),
    alternatives: alternatives(tiles, engine, devices, wishes, plan).map(reportAlternative),
  });
  try {
    return { report: reportOf(planModel(tiles, engine, devices, wishes)), error: null };
  } catch (error) {
    if (error instanceof StarlingError) return { report: reportOf(null), error };
    throw error;
  }
}

/** Part of the weights that each device computes, 1 being all; those that compute none are not among them. */
export function partsOfWeights({ predicted: { devices } }: Plan): { id: string; name: string; part: number }[] {
  const all = devices.reduce((sum, { memory }) => sum + memory.bytes, 0);
  const busy = devices.filter(({ memory }) => memory.tiles > 0);
  return busy.map(({ id, name, memory }) => ({ id, name, part: memory.bytes / all }));
}

const timesOf = ({ tokenMs, promptMs, promptTokens }: Omit<Prediction, 'binding' | 'devices'>): ReportedTimes => ({
  token_ms: tokenMs,
  prompt_ms: promptMs,
  prompt_tokens: promptTokens,
});

export const reportLeftOut = ({ tokenMs, ...device }: LeftOut): ReportedLeftOut => ({ ...device, token_ms: tokenMs });

function reportPlan(plan: Plan, devices: readonly PlannedDevice[]): ReportedPlan {
  const { predicted, head, leftOut } = plan;
  const parts = new Map(partsOfWeights(plan).map(({ id, part }) => [id, part]));
  return {
    ...timesOf(predicted),
    binding: predicted.binding,
    head,
    devices: predicted.devices.flatMap((each) => {
      const device = devices.find(({ id }) => id === each.id);
      const share = parts.get(each.id);
      return device === undefined || share === undefined ? [] : [reportDevice(each, device, share)];
    }),
    left_out: leftOut.map(reportLeftOut),
  };
}

function reportDevice(each: DevicePrediction, { profile }: PlannedDevice, share: number): ReportedDevice {
  const { id, name, memory, computeMs, diskMs, networkMs } = each;
  const { budget, ...taken } = memory.parts;
  return {
    ...{ id, name, share },
    memory_bytes: Object.values(taken).reduce((sum, bytes) => sum + bytes, 0),
    budget_bytes: budget,
    read_bytes: Math.round(diskMs * profile.disk),
    ...{ compute_ms: computeMs, disk_ms: diskMs, network_ms: networkMs },
  };
}

function reportAlternative({ kind, devices, without, outcome }: Alternative): ReportedAlternative {
  const isPossible = !(outcome instanceof StarlingError);
  return {
    kind,
    devices: devices.map(({ id }) => id),
    title: kind === 'all' ? 'all devices' : kind === 'alone' ? `${devices[0]?.name} alone` : `without ${without?.name}`,
    times: isPossible ? timesOf(outcome) : null,
    why: isPossible ? null : outcome.message,
  };
}
