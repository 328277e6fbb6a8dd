import type { DeviceProfile, Rates } from '../../daemon/profile/device-profile.ts';
import type { Account } from './accounting.ts';
import { type Plan, predictAgain } from './planner/plan.ts';
import type { PlannedDevice } from './planner/planned-device.ts';
import type { DevicePrediction } from './planner/predict.ts';
import type { PlanningInput } from './replan.ts';

/** How a device has lately differed from what it was planned with. */
export interface Drift {
  readonly id: string;
  readonly name: string;
  /** How many times as long it computes; 1 where that is as planned. */
  readonly compute: number;
  /** Milliseconds a token that the way to it takes longer, or, where negative, less; 0 where that is as planned. */
  readonly networkMs: number;
  /** Bytes of tiles that its disk gives in a millisecond; null where that is as planned. */
  readonly disk: number | null;
}

/** What a device took of one step. */
interface Taken {
  readonly computeMs: number;
  readonly networkMs: number;
  /** Bytes a millisecond that its disk gave while others waited for it; 0 where nobody did. */
  readonly disk: number;
}

interface Watched {
  readonly device: PlannedDevice;
  readonly expected: DevicePrediction;
  readonly latest: Taken[];
  /** For how long it has differed without a break, in time of steps. */
  offMs: number;
  drift: Drift | null;
}

/** Steps whose middle counts, so that a hiccup does not. */
const LATEST = 31;
/** A difference has to last so long, in time spent in steps. */
const LASTS_MS = 10_000;
/** Parts of what was expected, and of a token's time, that a difference has to be more than. */
const APART = 0.25;
const MATTERS = 0.05;
/** The part of a step that a device has to wait for its disk for the disk to be known as busy all the time. */
const WAITS = 0.1;
/** No round trip is taken to be shorter, in milliseconds. */
const LEAST_ROUND_TRIP = 0.02;

/**
 * Compares what devices take for steps of one row with what their plan expects. Steps of more rows are left out: they
 * may be computed in halves, which passes over the weights twice.
 */
export class DriftWatch {
  #tokenMs = 0;
  #watched: readonly Watched[] = [];

  /** @param plan that the devices carry out */
  constructor(input: PlanningInput, plan: Plan) {
    this.expect(input, plan);
  }

  /** Begins anew, with devices that are known better. */
  expect({ tiles, engine, devices, wishes }: PlanningInput, plan: Plan): void {
    const expected = predictAgain(tiles, engine, devices, { ...wishes, users: 1 }, plan);
    this.#tokenMs = expected?.tokenMs ?? 0;
    this.#watched = devices.flatMap((device) => {
      const own = expected?.devices.find(({ id }) => id === device.id);
      return own === undefined || own.computeMs === 0
        ? []
        : [{ device, expected: own, latest: [], offMs: 0, drift: null }];
    });
  }

  /** @param account of one step with so many rows */
  observe({ ms, devices }: Account, rows: number): void {
    if (rows !== 1) return;
    for (const watched of this.#watched) {
      const taken = devices.find(({ id }) => id === watched.device.id);
      if (taken === undefined) continue;
      const { computeMs, networkMs, diskMs, bytesRead } = taken;
      watched.latest.push({ computeMs, networkMs, disk: diskMs > WAITS * ms ? bytesRead / ms : 0 });
      if (watched.latest.length > LATEST) watched.latest.shift();
      watched.drift = watched.latest.length < LATEST ? null : this.#driftOf(watched);
      watched.offMs = watched.drift === null ? 0 : watched.offMs + ms;
    }
  }

  /** Differences that have lasted. */
  get drifts(): Drift[] {
    return this.#watched.flatMap(({ drift, offMs }) => (drift !== null && offMs >= LASTS_MS ? [drift] : []));
  }

  #driftOf({ device: { id, name, link, profile }, expected, latest }: Watched): Drift | null {
    const differs = (measured: number, planned: number): boolean =>
      Math.abs(measured - planned) > Math.max(APART * planned, MATTERS * this.#tokenMs);
    const computeMs = middle(latest.map((each) => each.computeMs));
    const networkMs = middle(latest.map((each) => each.networkMs));
    const rate = middle(latest.map((each) => each.disk));
    const drift = {
      ...{ id, name },
      compute: differs(computeMs, expected.computeMs) ? computeMs / expected.computeMs : 1,
      networkMs: link !== null && differs(networkMs, expected.networkMs) ? networkMs - expected.networkMs : 0,
      disk: rate > 0 && Math.abs(rate - profile.disk) > APART * profile.disk ? rate : null,
    };
    return drift.compute === 1 && drift.networkMs === 0 && drift.disk === null ? null : drift;
  }
}

/** A device as it has proved to be. @param phases of a token that it has tiles of */
export function corrected(device: PlannedDevice, { compute, networkMs, disk }: Drift, phases: number): PlannedDevice {
  const { profile, link } = device;
  const slower = ({ lone, all, wide }: Rates): Rates => ({
    ...{ lone: lone / compute, all: all / compute, wide: wide / compute },
  });
  const formats = Object.fromEntries(
    Object.entries(profile.formats).map(([format, rates]) => [format, slower(rates)]),
  ) as DeviceProfile['formats'];
  const roundTrip = (ms: number): number => Math.max(LEAST_ROUND_TRIP, ms + networkMs / Math.max(1, phases));
  return {
    ...device,
    profile: {
      ...profile,
      formats,
      attention: slower(profile.attention),
      phaseMs: profile.phaseMs * compute,
      disk: disk ?? profile.disk,
    },
    link: link === null ? null : { ...link, roundTripMs: roundTrip(link.roundTripMs) },
  };
}

/** In words, for people. */
export function driftText({ name, compute, networkMs, disk }: Drift): string {
  const facts = [
    ...(compute === 1 ? [] : [`computes at ${(1 / compute).toFixed(2)} of what was measured`]),
    ...(networkMs === 0
      ? []
      : [`is ${Math.abs(networkMs).toFixed(1)} ms a token ${networkMs > 0 ? 'farther' : 'nearer'} than was measured`]),
    ...(disk === null ? [] : [`reads ${Math.round(disk / 1000)} MB a second from its disk`]),
  ];
  return `${name} now ${facts.join(', and ')}`;
}

const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
