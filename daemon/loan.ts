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

/** What a device is used for. */
export interface Use {
  /** Name of a model; null while it is only measured. */
  readonly serving: string | null;
}

/**
 * Why a device is not lent, or null when it is. Only to its own computer: to another one it would be a device that is
 * kept from all others and computes nothing.
 * @param isLocal whether the coordinator is on this computer
 * @param use what the device is used for already; null when it is free
 */
export function refuseLoan(isLocal: boolean, use: Use | null): StarlingError | null {
  if (!isLocal) {
    return new StarlingError('protocol_invalid_message', 'a device is lent to a coordinator on its own computer only');
  }
  return refuseUse(use);
}

/** Why a device is not to be used for more: it works for one coordinator at a time. Null when it is free. */
export function refuseUse(use: Use | null): StarlingError | null {
  if (use === null) return null;
  const { serving } = use;
  return new StarlingError(
    'device_busy',
    serving === null
      ? 'this device is just measured by another coordinator; try again in a moment'
      : `this device already serves ${serving}; stop that first`,
  );
}
