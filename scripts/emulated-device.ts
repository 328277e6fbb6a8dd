import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import { type ClusterKey, importKey } from '../daemon/cluster-key.ts';
import { homePaths } from '../daemon/paths.ts';
import type { BackendName } from '../kernels/kernels.ts';
import { ControlGroup } from './control-groups.ts';
import { type CoreList, onCores } from './cores.ts';
import { StarlingProcess } from './starling-process.ts';

/** What a device of a home has, of what this machine has. */
export interface DeviceLimits {
  readonly core: CoreList;
  /** Of that core: over 0, up to 1. */
  readonly cpu: number;
  /** Bytes that it may have resident. */
  readonly memory: number;
  /** Bytes a second that it reads at most past the system's cache. */
  readonly disk: number;
}

export interface EmulatedDaemonOptions {
  /** A folder of its own. */
  readonly home: string;
  readonly key: ClusterKey;
  readonly storeDir: string;
  readonly backend: BackendName;
}

const START_MS = 60_000;

/**
 * A control group as slow as a device.
 * @param role letters and digits, of this process's groups only this one's
 * @param storeDir on the disk whose reads are limited
 * @throws Error where there are no control groups
 */
export function slowedGroup(role: string, { cpu, disk }: DeviceLimits, storeDir: string): ControlGroup {
  const group = new ControlGroup(role);
  try {
    if (cpu < 1) group.limitCpu(cpu);
    group.limitReads(storeDir, disk);
    return group;
  } catch (error) {
    group.removeNow();
    throw error;
  }
}

/** A daemon of this machine that computes with one thread, as slowly as a smaller device. */
export class EmulatedDevice {
  readonly endpoint: Endpoint;
  readonly #daemon: StarlingProcess;
  readonly #group: ControlGroup;

  private constructor(endpoint: Endpoint, daemon: StarlingProcess, group: ControlGroup) {
    this.endpoint = endpoint;
    this.#daemon = daemon;
    this.#group = group;
  }

  /** @param name letters and digits. @throws Error where there are no control groups, or with what a daemon wrote */
  static async start(
    name: string,
    limits: DeviceLimits,
    { home, key, storeDir, backend }: EmulatedDaemonOptions,
  ): Promise<EmulatedDevice> {
    await importKey(homePaths({ STARLING_HOME: home }).keyFile, key);
    const group = slowedGroup(name, limits, storeDir);
    const args = ['daemon', '--host', '127.0.0.1', '--port', '0', '--no-discovery', '--log-level', 'warn'];
    args.push('--name', name, '--store', storeDir, '--memory', String(limits.memory));
    args.push('--backend', backend, '--threads', '1');
    const daemon = new StarlingProcess(args, { home, prefix: [...group.prefix, ...onCores(limits.core)] });
    try {
      const [, port] = await daemon.waitFor(/ listens on 127\.0\.0\.1:(\d+),/, START_MS);
      return new EmulatedDevice({ host: '127.0.0.1', port: Number(port) }, daemon, group);
    } catch (error) {
      await daemon.stop();
      await group.remove();
      throw error;
    }
  }

  /** Ends it, and resolves when nothing is left of it. */
  async stop(): Promise<void> {
    await this.#daemon.stop();
    await this.#group.remove();
  }
}
