import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { type Plan, type PlanWishes, plan } from './plan.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { Prediction } from './predict.ts';

/** What a set of devices would come to if no others could compute layers. */
export interface Alternative {
  readonly devices: readonly PlannedDevice[];
  /** `all`: each has a part, however slow that is. `without`: as is wished of all but one. */
  readonly kind: 'all' | 'alone' | 'without';
  /** What is left out of `without`. */
  readonly without: PlannedDevice | null;
  /** An error where they cannot hold the model: what is lacking. */
  readonly outcome: Prediction | StarlingError;
}

/**
 * All devices together, each alone, and, of three or more, all but each of those that were chosen: a plan without one
 * that was not is the same.
 * @param devices the serving one first
 * @param chosen null where none of them can hold the model
 */
export function alternatives(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
  chosen: Plan | null,
): Alternative[] {
  const willing = devices.filter(({ computesLayers }) => computesLayers);
  const able = willing.length > 0 ? willing : devices.slice(0, 1);
  const outcomeOf = (set: readonly PlannedDevice[], use: PlanWishes['use']): Prediction | StarlingError => {
    const there = devices.filter((device) => device.link === null || set.includes(device));
    const asked = there.map((device) => ({ ...device, computesLayers: set.includes(device) }));
    try {
      return plan(tiles, engine, asked, { ...wishes, use }).predicted;
    } catch (error) {
      if (error instanceof StarlingError) return error;
      throw error;
    }
  };
  const together = (kind: 'all' | 'alone', set: readonly PlannedDevice[]): Alternative => ({
    ...{ kind, devices: set, without: null },
    outcome: outcomeOf(set, 'all'),
  });
  const but = (without: PlannedDevice): Alternative => {
    const set = able.filter((device) => device !== without);
    return { kind: 'without', devices: set, without, outcome: outcomeOf(set, wishes.use) };
  };
  const used = able.filter(({ id }) => (chosen?.shares.get(id)?.length ?? 0) > 0);
  return [
    ...(able.length > 1 ? [together('all', able)] : []),
    ...able.map((device) => together('alone', [device])),
    ...(able.length > 2 ? used.map(but) : []),
  ];
}
