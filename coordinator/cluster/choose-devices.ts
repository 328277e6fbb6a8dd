import { StarlingError } from '../../daemon/errors.ts';
import type { RemoteRank } from './remote-rank.ts';

/**
 * Which devices compute: those that make a token fastest, all that are found, or those of these names or ids, however
 * slow that is.
 */
export type DevicesWish = 'auto' | 'all' | readonly string[];

/** The serving device, as far as it can be wished for. */
export interface OwnName {
  readonly id: string;
  readonly name: string;
}

/**
 * The devices that are wished for. Those that were found and are not are let go.
 * @returns also whether the serving device is among them
 * @throws StarlingError device_unreachable for a name that none of them has; all are then let go
 */
export function chooseDevices<R extends Pick<RemoteRank, 'id' | 'name' | 'close'>>(
  wish: DevicesWish,
  found: readonly R[],
  own: OwnName,
): { readonly ranks: readonly R[]; readonly own: boolean } {
  if (typeof wish === 'string') return { ranks: found, own: true };
  const isMeant = ({ id, name }: OwnName): boolean => wish.includes(name) || wish.includes(id);
  const unknown = wish.find((each) => ![own, ...found].some(({ id, name }) => each === id || each === name));
  if (unknown !== undefined) {
    for (const rank of found) rank.close();
    const names = [own, ...found].map(({ name }) => name).join(', ');
    throw new StarlingError('device_unreachable', `there is no device ${unknown}; found were ${names}`);
  }
  for (const rank of found) if (!isMeant(rank)) rank.close();
  return { ranks: found.filter(isMeant), own: isMeant(own) };
}
