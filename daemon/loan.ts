import { StarlingError } from './errors.ts';
import type { ControlLink } from './protocol/control-link.ts';

/**
 * The use of a device by "starling serve" on the same computer, which computes the device's share in its own process.
 * It ends with its link, however that ends.
 */
export interface Loan {
  readonly control: ControlLink;
  readonly modelName: string;
}

/**
 * Why a device is not lent, or null when it is. Only to its own computer: to another one it would be a device that is
 * kept from all others and computes nothing.
 * @param isLocal whether the coordinator is on this computer
 * @param serving what the device is used for already; null when it is free
 */
export function refuseLoan(isLocal: boolean, serving: string | null): StarlingError | null {
  if (!isLocal) {
    return new StarlingError('protocol_invalid_message', 'a device is lent to a coordinator on its own computer only');
  }
  return serving === null ? null : busyWith(serving);
}

/** A device works for one coordinator at a time. */
export const busyWith = (serving: string): StarlingError =>
  new StarlingError('device_busy', `this device already serves ${serving}; stop that first`);
