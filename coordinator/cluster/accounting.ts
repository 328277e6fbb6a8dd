import { type EngineUsage, usageBetween } from '../../daemon/engine/usage.ts';

/** A device that is accounted for. */
export interface AccountedDevice {
  readonly id: string;
  readonly name: string;
}

/** What a device did and waited for, so far. Each is a total that only grows. */
export interface DeviceAccount extends EngineUsage, AccountedDevice {
  /**
   * From a phase's input on its way to its sums back, less what the device took: the network, and the device's turn to
   * answer.
   */
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
  /** Its id. */
  readonly device: string;
  /** As the coordinator saw it, network included. */
  readonly wallMs: number;
}

interface CurrentStep {
  readonly rows: number;
  readonly begunAt: number;
  readonly before: Account;
  /** When all its layers were computed, and again when its head was. */
  endedAt?: number;
}

export interface AccountingOptions {
  readonly devices: readonly AccountedDevice[];
  /** What there was before, of these devices and perhaps others: the totals go on from there. */
  readonly before?: Account;
  /** Told what each step took, when it has ended. */
  readonly onStep?: (account: Account, rows: number) => void;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/** Adds up what the devices of a cluster take, phase by phase and step by step. */
export class Accounting {
  readonly #devices: ReadonlyMap<string, { -readonly [K in keyof DeviceAccount]: DeviceAccount[K] }>;
  readonly #onStep: (account: Account, rows: number) => void;
  readonly #now: () => number;
  readonly #critical: { -readonly [K in Constraint]: number };
  #steps: number;
  #ms: number;
  #current: CurrentStep | undefined;

  constructor({ devices, before, onStep = () => {}, now = () => performance.now() }: AccountingOptions) {
    const none = { computeMs: 0, diskMs: 0, networkMs: 0, bytesRead: 0 };
    const known = before?.devices ?? [];
    this.#devices = new Map(
      [...devices.map(({ id, name }) => ({ id, name, ...none })), ...known].map((device) => [device.id, { ...device }]),
    );
    this.#steps = before?.steps ?? 0;
    this.#ms = before?.ms ?? 0;
    this.#critical = { ...(before?.critical ?? { compute: 0, disk: 0, network: 0 }) };
    this.#onStep = onStep;
    this.#now = now;
  }

  /** Begins a step; the one before has ended with its layers where it had no head. */
  beginStep(rows: number): void {
    this.endStep();
    this.#current = { rows, begunAt: this.#now(), before: this.snapshot() };
  }

  /** All layers of the step have been computed. */
  layersDone(): void {
    if (this.#current !== undefined) this.#current.endedAt = this.#now();
  }

  /**
   * The head of the step has been computed, or it has none. A step that was given up before its layers were done is not
   * counted.
   */
  endStep(): void {
    const step = this.#current;
    this.#current = undefined;
    if (step?.endedAt === undefined) return;
    this.#steps++;
    this.#ms += step.endedAt - step.begunAt;
    this.#onStep(accountBetween(step.before, this.snapshot()), step.rows);
  }

  /** Counts a phase; the device that took longest is the one that was waited for. */
  addPhase(usages: readonly PhaseUsage[]): void {
    let slowest: PhaseUsage | undefined;
    for (const usage of usages) {
      const device = this.#devices.get(usage.device)!;
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

  /** The totals, as they are now. */
  snapshot(): Account {
    return {
      steps: this.#steps,
      ms: this.#ms,
      critical: { ...this.#critical },
      devices: [...this.#devices.values()].map((device) => ({ ...device })),
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
    devices: after.devices.map((device) => {
      const earlier = before.devices.find(({ id }) => id === device.id);
      if (earlier === undefined) return device;
      return { ...device, ...usageBetween(earlier, device), networkMs: device.networkMs - earlier.networkMs };
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
