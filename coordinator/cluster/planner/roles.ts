import type { ModelDivider, Roles } from './divide-model.ts';
import { isSolution, type Solution, type TooSmall } from './evaluator.ts';
import type { PlannedDevice } from './planned-device.ts';

export const HEAD_WISHES = ['auto', 'local', 'shared'] as const;
/** Where the head is computed: by the serving computer alone, or shared by the devices. */
export type HeadWish = (typeof HEAD_WISHES)[number];

/** Which devices may compute what, where the head is computed as wished. */
export const rolesOf = (
  devices: readonly PlannedDevice[],
  attention: readonly boolean[],
  others: readonly boolean[],
  head: HeadWish,
  everyone: boolean,
): Roles => ({
  attention,
  others,
  head: devices.map(({ link }, d) =>
    head === 'shared' ? others[d]! : link === null || (head === 'auto' && others[d]!),
  ),
  everyone: { layers: everyone, head: head === 'shared' },
});

/**
 * Divides a model over some devices. One that has no room for a cache of keys and values computes no attention; one
 * that has room for nothing is left out.
 * @param able which devices may compute layers
 * @param everyone whether each of them is to have a part
 */
export function solve(
  divider: ModelDivider,
  devices: readonly PlannedDevice[],
  able: readonly boolean[],
  head: HeadWish,
  everyone: boolean,
): Solution | TooSmall {
  const attention = [...able];
  const others = [...able];
  let lacking: TooSmall | null = null;
  for (;;) {
    const found = divider.divide(rolesOf(devices, attention, others, head, everyone));
    if (isSolution(found)) return found;
    // That nobody is left to compute some tile says less than why the last one cannot.
    if (found.tooSmall === null) return lacking ?? found;
    lacking = found;
    const d = found.tooSmall;
    if (attention[d]) attention[d] = false;
    else if (others[d]) others[d] = false;
    else return found;
    if (!others.includes(true)) return found;
  }
}
