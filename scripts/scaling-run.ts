import { fileURLToPath } from 'node:url';
import { LocalDevices } from '../coordinator/cli/local-devices.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { defaultMemory } from '../daemon/process-memory.ts';
import { runChild } from './bench-child.ts';
import type { ScalingTask, ScalingTimes } from './bench-scaling-coordinator.ts';
import { keepCoreBusy } from './busy-core.ts';
import { type CoreList, coresOf, onCores, pin } from './cores.ts';
import type { Configuration } from './scaling-plan.ts';
import { type Lateness, type NetworkSpeed, SlowNetwork } from './slow-network.ts';

/** What is the same for all configurations. */
export type CommonTask = Omit<ScalingTask, 'threads' | 'key' | 'peers' | 'memory'>;

export interface ScalingRun {
  readonly times: ScalingTimes;
  readonly processes: readonly PlacedProcess[];
  /** Of the network; null where there was none. */
  readonly late: Lateness | null;
}

/** A process, and where the system says that it runs. */
export interface PlacedProcess {
  readonly name: string;
  readonly cores: CoreList | null;
}

const COORDINATOR = fileURLToPath(new URL('./bench-scaling-coordinator.js', import.meta.url));

/** Measures one configuration once, in processes that end with the measurement. */
export async function runConfiguration(
  task: CommonTask,
  { devices: count, threads, cores, busy }: Configuration,
  network: NetworkSpeed | null,
): Promise<ScalingRun> {
  const { backend, storeDir } = task;
  const key = ClusterKey.generate();
  const memory = Math.floor(defaultMemory() / count);
  const devices = await LocalDevices.start({ count: count - 1, key, storeDir, backend, threads, memory });
  let slow: SlowNetwork | undefined;
  let free: (() => Promise<void>) | undefined;
  try {
    const [coordinatorCores, ...daemonCores] = cores ?? [];
    // Before they have threads that compute, which inherit it.
    for (const [i, list] of daemonCores.entries()) await pin(devices.pids[i]!, list);
    if (network !== null && count > 1) slow = await SlowNetwork.start(devices.endpoints, network);
    if (busy !== null) free = await keepCoreBusy(busy);
    const peers = slow?.endpoints ?? devices.endpoints;
    const whole: ScalingTask = { ...task, threads, key: key.toText(), peers, memory };
    const prefix = coordinatorCores === undefined ? [] : onCores(coordinatorCores);
    const times = await runChild<ScalingTimes>(COORDINATOR, whole, prefix);
    const daemons = devices.pids.map(async (pid, i) => ({ name: `device ${i + 1}`, cores: await coresOf(pid) }));
    const processes = [{ name: 'coordinator', cores: times.cores }, ...(await Promise.all(daemons))];
    const late = (await slow?.stop()) ?? null;
    slow = undefined;
    return { times, processes, late };
  } finally {
    await free?.();
    await slow?.stop();
    await devices.stop();
  }
}
