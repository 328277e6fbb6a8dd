import type { EngineUsage } from '../../daemon/engine/engine.ts';

/** What a device did and waited for, so far. Each is a total that only grows. */
export interface DeviceAccount extends EngineUsage {
  /** From a phase's input on its way to its sums back, less what the device took: the network, and the device's turn to answer. */
  readonly networkMs: number;
}

export type Constraint = 'compute' | 'disk' | 'network';

/** How much of the time each constraint took, of the device that was waited for in each phase. */
export type ConstraintTimes = Readonly<Record<Constraint, number>>;

/** All totals so far. */
export interface Account {
  readonly steps: number;
  /** Of the steps, from their begin to their end. */
  readonly ms: number;
  readonly critical: ConstraintTimes;
  readonly devices: readonly DeviceAccount[];
}

/** What one device took in a phase. */
export interface PhaseUsage extends EngineUsage {
  readonly device: number;
  /** As the coordinator saw it, network included. */
  readonly wallMs: number;
}

/** Adds up what the devices of a cluster take, phase by phase. */
export class Accounting {
  readonly #devices: { computeMs: number; diskMs: number; networkMs: number; bytesRead: number }[];
  readonly #critical = { compute: 0, disk: 0, network: 0 };
  #steps = 0;
  #ms = 0;

  constructor(devices: number) {
    this.#devices = Array.from({ length: devices }, () => ({ computeMs: 0, diskMs: 0, networkMs: 0, bytesRead: 0 }));
  }

  /** Counts a phase; the device that took longest is the one that was waited for. */
  addPhase(usages: readonly PhaseUsage[]): void {
    let slowest: PhaseUsage | undefined;
    for (const usage of usages) {
      const device = this.#devices[usage.device]!;
      device.computeMs += usage.computeMs;
      device.diskMs += usage.diskMs;
      device.networkMs += networkMs(usage);
      device.bytesRead += usage.bytesRead;
      if (slowest === undefined || usage.wallMs > slowest.wallMs) slowest = usage;
    }
    if (slowest === undefined) return;
    this.#critical.compute += slowest.computeMs;
    this.#critical.disk += slowest.diskMs;
    this.#critical.network += networkMs(slowest);
  }

  addStep(ms: number): void {
    this.#steps++;
    this.#ms += ms;
  }

  /** The totals, as they are now. */
  snapshot(): Account {
    return {
      steps: this.#steps,
      ms: this.#ms,
      critical: { ...this.#critical },
      devices: this.#devices.map((device) => ({ ...device })),
    };
  }
}

/** What happened between two snapshots of one cluster. */
export function accountBetween(before: Account, after: Account): Account {
  return {
    steps: after.steps - before.steps,
    ms: after.ms - before.ms,
    critical: {
      compute: after.critical.compute - before.critical.compute,
      disk: after.critical.disk - before.critical.disk,
      network: after.critical.network - before.critical.network,
    },
    devices: after.devices.map((device, i) => {
      const { computeMs, diskMs, networkMs, bytesRead } = before.devices[i]!;
      return {
        computeMs: device.computeMs - computeMs,
        diskMs: device.diskMs - diskMs,
        networkMs: device.networkMs - networkMs,
        bytesRead: device.bytesRead - bytesRead,
      };
    }),
  };
}

/** What took most of the time. */
export function bindingConstraint({ compute, disk, network }: ConstraintTimes): Constraint {
  if (disk > compute && disk >= network) return 'disk';
  return network > compute ? 'network' : 'compute';
}

export const constraintTimes = ({ computeMs, diskMs, networkMs }: DeviceAccount): ConstraintTimes => ({
  compute: computeMs,
  disk: diskMs,
  network: networkMs,
});

/** A device's usage may reach over more than this phase when an answer before was lost. */
const networkMs = ({ wallMs, computeMs, diskMs }: PhaseUsage): number => Math.max(0, wallMs - computeMs - diskMs);
