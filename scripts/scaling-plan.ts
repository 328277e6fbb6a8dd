import { type CoreList, firstCores } from './cores.ts';

/** One of the clusters that are measured in turn. */
export interface Configuration {
  readonly devices: number;
  /** Of each device. */
  readonly threads: number;
  /** Of the coordinator and then of each daemon; null where the system chooses. */
  readonly cores: readonly CoreList[] | null;
  /** A core that another process keeps busy; null for none. */
  readonly busy: CoreList | null;
}

export interface ScalingPlan {
  /** One device with one thread: what all others are compared with. */
  readonly one: Configuration;
  /**
   * In the order in which they were asked for, with one thread a device. `bound` is one device with as many threads.
   */
  readonly counts: readonly { readonly many: Configuration; readonly bound: Configuration }[];
  /** The two devices once more, beside a busy process; null unless wanted. */
  readonly busy: Configuration | null;
  /** All of these, each once. */
  readonly all: readonly Configuration[];
}

/** Where another process runs that competes with the devices: the core of the first daemon. */
const BUSY_CORE = '1';

/**
 * What to measure to learn how `devices` add up.
 * @param cores of this machine. The bound has no more threads than that
 */
export function scalingPlan(devices: readonly number[], cores: number, pinned: boolean, busy: boolean): ScalingPlan {
  const found = new Map<string, Configuration>();
  const once = (configuration: Configuration): Configuration => {
    const key = JSON.stringify(configuration);
    const known = found.get(key) ?? configuration;
    found.set(key, known);
    return known;
  };
  const own = (count: number, busyCore: CoreList | null): Configuration =>
    once({
      devices: count,
      threads: 1,
      cores: pinned ? Array.from({ length: count }, (_, device) => String(device % cores)) : null,
      busy: busyCore,
    });
  const bound = (threads: number): Configuration =>
    once({ devices: 1, threads, cores: pinned ? [firstCores(threads)] : null, busy: null });
  const one = own(1, null);
  const counts = devices.map((count) => ({ many: own(count, null), bound: bound(Math.min(count, cores)) }));
  const beside = busy ? own(2, BUSY_CORE) : null;
  return { one, counts, busy: beside, all: [...found.values()] };
}
