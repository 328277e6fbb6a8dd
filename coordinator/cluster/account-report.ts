import { type Account, bindingConstraint, type Constraint, constraintTimes } from './accounting.ts';

/** What one device took for a token, on average. */
export interface DeviceTokenReport {
  readonly id: string;
  readonly name: string;
  readonly bytes_read_per_token: number;
  readonly compute_ms_per_token: number;
  readonly disk_wait_ms_per_token: number;
  readonly network_wait_ms_per_token: number;
  /** What took most of this device's time. */
  readonly binding: Constraint;
}

export interface TokenReport {
  /** What took most of the time of the devices that the others waited for. */
  readonly binding: Constraint;
  readonly devices: readonly DeviceTokenReport[];
}

/** An account of decoding, a token a step, for people and programs. */
export function tokenReport(account: Account): TokenReport {
  const steps = Math.max(1, account.steps);
  const perToken = (total: number): number => Math.round((total / steps) * 100) / 100;
  return {
    binding: bindingConstraint(account.critical),
    devices: account.devices.map((device) => ({
      id: device.id,
      name: device.name,
      bytes_read_per_token: Math.round(device.bytesRead / steps),
      compute_ms_per_token: perToken(device.computeMs),
      disk_wait_ms_per_token: perToken(device.diskMs),
      network_wait_ms_per_token: perToken(device.networkMs),
      binding: bindingConstraint(constraintTimes(device)),
    })),
  };
}
