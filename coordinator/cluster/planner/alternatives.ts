import type { EngineSpec } from '../../../daemon/engine/engine-spec.ts';
import { StarlingError } from '../../../daemon/errors.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import { type PlanWishes, plan } from './plan.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { Prediction } from './predict.ts';

/** What a set of devices would come to if just these computed the layers, as `--devices` can have it. */
export interface Alternative {
  readonly devices: readonly PlannedDevice[];
  /** `without`: all but one of them. */
  readonly kind: 'all' | 'alone' | 'without';
  /** What is left out of `without`. */
  readonly without: PlannedDevice | null;
  /** An error where they cannot hold the model: what is lacking. */
  readonly outcome: Prediction | StarlingError;
}

/**
 * All devices together, each alone, and, of three or more, all but one each.
 * @param devices the serving one first
 */
export function alternatives(
  tiles: readonly TileShape[],
  engine: Omit<EngineSpec, 'kvPages'>,
  devices: readonly PlannedDevice[],
  wishes: PlanWishes,
): Alternative[] {
  const willing = devices.filter(({ computesLayers }) => computesLayers);
  const able = willing.length > 0 ? willing : devices.slice(0, 1);
  const outcomeOf = (set: readonly PlannedDevice[]): Prediction | StarlingError => {
    const there = devices.filter((device) => device.link === null || set.includes(device));
    const asked = there.map((device) => ({ ...device, computesLayers: set.includes(device) }));
    try {
      return plan(tiles, engine, asked, { ...wishes, use: 'all' }).predicted;
    } catch (error) {
      if (error instanceof StarlingError) return error;
      throw error;
    }
  };
  const alternative = (
    kind: Alternative['kind'],
    set: readonly PlannedDevice[],
    without: PlannedDevice | null = null,
  ): Alternative => ({ devices: set, kind, without, outcome: outcomeOf(set) });
  const rest = (left: PlannedDevice): PlannedDevice[] => able.filter((device) => device !== left);
  return [
    ...(able.length > 1 ? [alternative('all', able)] : []),
    ...able.map((device) => alternative('alone', [device])),
    ...(able.length > 2 ? able.map((device) => alternative('without', rest(device), device)) : []),
  ];
}
