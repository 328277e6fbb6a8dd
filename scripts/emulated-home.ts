import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeThrowAwayHome } from '../coordinator/cli/throw-away-home.ts';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { onCores } from './cores.ts';
import { type DeviceLimits, EmulatedDevice, slowedGroup } from './emulated-device.ts';
import { SlowNetwork } from './slow-network.ts';

/** A device that the serving one reaches over the network. */
export interface DistantLimits extends DeviceLimits {
  /** Milliseconds from one side to the other. */
  readonly delayMs: number;
  /** Megabits a second of its connection, in each direction. */
  readonly mbit: number;
}

/** A home's devices, and its network. */
export interface Home {
  readonly serving: DeviceLimits;
  readonly others: readonly DistantLimits[];
  /** Megabits a second of the serving device's connection, in each direction. */
  readonly mbit: number;
}

export interface EmulatedHome {
  readonly key: ClusterKey;
  /** Where the serving device reaches the others, in their order. */
  readonly peers: readonly Endpoint[];
  /** A command that becomes the one after it, on the serving device. One at a time. */
  readonly prefix: readonly string[];
}

/**
 * Runs `use` with a home on this machine: a daemon for each device but the serving one, whose processes `use` starts.
 * Nothing is left of it then.
 * @param storeDir of all devices, so that tiles are cut once; on a disk that can be limited
 * @throws Error where there are no control groups, no C compiler, or a daemon did not start
 */
export async function withEmulatedHome<T>(
  { serving, others, mbit }: Home,
  { storeDir, backend }: { readonly storeDir: string; readonly backend: BackendName },
  use: (home: EmulatedHome) => Promise<T>,
): Promise<T> {
  const key = ClusterKey.generate();
  // Of each thing that was started: how it ends.
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const folder = await makeThrowAwayHome(tmpdir());
    ends.push(() => folder.remove());
    const group = slowedGroup('serving', serving, storeDir);
    ends.push(() => group.remove());
    const devices: EmulatedDevice[] = [];
    // One after the other: those that share a core would make each other late.
    for (const [i, limits] of others.entries()) {
      const name = deviceName(i);
      const device = await EmulatedDevice.start(name, limits, {
        ...{ home: join(folder.folder, name), key, storeDir, backend },
      });
      devices.push(device);
      ends.push(() => device.stop());
    }
    const distant = others.map((limits, i) => ({ ...limits, endpoint: devices[i]!.endpoint }));
    const network = distant.length === 0 ? null : await SlowNetwork.startEach(distant, mbit);
    if (network !== null) ends.push(() => network.stop());
    return await use({ key, peers: network?.endpoints ?? [], prefix: [...group.prefix, ...onCores(serving.core)] });
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Of one of the others. */
const deviceName = (i: number): string => `device${i + 1}`;
