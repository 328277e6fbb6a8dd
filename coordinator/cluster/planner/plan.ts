import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { type DeviceMemory, deviceMemory } from './device-memory.ts';
import { ModelDivider } from './divide-model.ts';
import { Evaluator, isSolution, type Problem, type Solution, type TooSmall } from './evaluator.ts';
import { fastest } from './fastest.ts';
import { type LeftOut, leftOut } from './left-out.ts';
import { phaseWorks } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import { type Load, type Prediction, predict } from './predict.ts';
import { type HeadWish, solve } from './roles.ts';
import { type Division, sharesOf } from './shares.ts';

export interface PlanWishes extends Load {
  readonly head: HeadWish;
  /** Those that make a token fastest, or all of them, however slow that is. */
  readonly use: 'fastest' | 'all';
  /** Conversations of full length that the caches hold, where memory allows. */
  readonly conversations?: number;
}

/** Which tiles each device computes, by its id, and what that is expected to take. */
export interface Plan {
  readonly shares: ReadonlyMap<string, readonly TileShape[]>;
  readonly kvPages: number;
  readonly head: 'local' | 'shared';
  readonly predicted: Prediction;
  readonly leftOut: readonly LeftOut[];
  /** The devices that were planned for, in their order, and how many tiles of each phase each has. */
  readonly devices: readonly string[];
  readonly division: Division;
}

/** A running plan is kept unless another one takes less than this part of its time. */
const KEPT = 0.97;

/**
 * Divides a model over devices so that a token takes least time: which of them are used at all, how much of each phase
 * each computes, and whether the head is shared.
 * @param tiles of the model, in the order in which they are computed
 * @param devices the serving one first, each once, and in the same order whenever they are planned for again
 * @param previous a plan of the same model that runs: kept where no other is clearly better
 * @throws StarlingError memory_too_small where no set of the devices can hold the model
 */
export function plan(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
  previous?: Plan,
): Plan {
  const { conversations } = wishes;
  const problem: Problem = {
    works: phaseWorks(tiles, engine),
    ...{ engine, devices, load: wishes },
    ...(conversations === undefined ? {} : { conversations }),
  };
  const evaluator = new Evaluator(problem);
  const found = isAll(wishes)
    ? solve(new ModelDivider(evaluator), devices, ableOf(devices), wishes.head, true)
    : fastest(evaluator, ableOf(devices), wishes.head);
  const running = previous === undefined ? null : again(evaluator, previous);
  if (!isSolution(found) && running === null) throw noRoom(problem, found);
  const best = isSolution(found) ? found : running!;
  const chosen = running !== null && best.tokenMs > KEPT * running.tokenMs ? running : best;
  return toPlan(problem, chosen, isAll(wishes) ? [] : leftOut(evaluator, chosen));
}

const isAll = ({ use }: PlanWishes): boolean => use === 'all';

/** Which devices may compute layers: one that is alone does, whoever else may have its memory. */
function ableOf(devices: readonly PlannedDevice[]): boolean[] {
  const able = devices.map(({ computesLayers }) => computesLayers);
  return able.includes(true) ? able : devices.map(({ link }) => link === null);
}

/** What a plan that was made before would take now; null where it is for devices that are not there, or have no room. */
function again(evaluator: Evaluator, { devices, division }: Plan): Solution | null {
  const places = evaluator.problem.devices.map(({ id }) => devices.indexOf(id));
  const isGone = devices.some((_, d) => !places.includes(d) && division.some((counts) => counts[d]! > 0));
  if (isGone) return null;
  const found = evaluator.evaluate(division.map((counts) => places.map((d) => (d < 0 ? 0 : counts[d]!))))!;
  return isSolution(found) ? found : null;
}

function toPlan(problem: Problem, { division, kvPages }: Solution, left: readonly LeftOut[]): Plan {
  const { works, engine, devices, load } = problem;
  const shares = sharesOf(works, division, devices.length);
  const memories = devices.map((device, d): DeviceMemory => {
    const memory = deviceMemory(device, { ...engine, kvPages }, shares[d]!);
    if (memory instanceof StarlingError) throw memory;
    return memory;
  });
  const isShared = devices.some(({ link }, d) => link !== null && division.at(-1)![d]! > 0);
  return {
    shares: new Map(devices.map(({ id }, d) => [id, shares[d]!])),
    head: isShared ? 'shared' : 'local',
    predicted: predict(works, devices, division, memories, load),
    devices: devices.map(({ id }) => id),
    ...{ kvPages, leftOut: left, division },
  };
}

function noRoom({ devices }: Problem, { tooSmall, error }: TooSmall): StarlingError {
  const name = tooSmall === null ? '' : `${devices[tooSmall]!.name}: `;
  return new StarlingError('memory_too_small', `${name}${error?.message ?? 'there is no device that may compute it'}`);
}
