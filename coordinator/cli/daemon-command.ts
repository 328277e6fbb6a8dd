import { resolve } from 'node:path';
import { Command } from 'commander';
import { loadOrCreateKey } from '../../daemon/cluster-key.ts';
import { Daemon } from '../../daemon/daemon.ts';
import { claimHome } from '../../daemon/device-home.ts';
import { toStarlingError } from '../../daemon/errors.ts';
import { loadIdentity } from '../../daemon/identity.ts';
import type { LifeSign } from '../../daemon/life-sign.ts';
import { createLogger, type Logger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import { processMemory } from '../../daemon/process-memory.ts';
import { DeviceProfiler } from '../../daemon/profile/device-profiler.ts';
import { hostPort } from '../../daemon/protocol/link.ts';
import { removeRunFile, writeRunFile } from '../../daemon/run-file.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import { listenHost } from './endpoint.ts';
import {
  addComputeOptions,
  type ComputeOptions,
  DEFAULT_DEVICE_PORT,
  integer,
  resolveCompute,
  storeLimitOption,
  storeOption,
  storeOptions,
} from './options.ts';

interface DaemonOptions extends ComputeOptions {
  readonly host?: string;
  readonly port: number;
  readonly name?: string;
  readonly store?: string;
  readonly storeLimit?: number;
  readonly discovery: boolean;
}

export interface DaemonCommandDeps {
  readonly paths: HomePaths;
  readonly version: string;
  readonly stdout: (text: string) => void;
  /** Aborted when the command is to end. */
  readonly signal: AbortSignal;
  /** Tells a parent process, where there is one, that the daemon listens. */
  readonly tellParent: (message: { port: number }) => void;
}

export function daemonCommand({ paths, version, stdout, signal, tellParent }: DaemonCommandDeps): Command {
  const command = new Command('daemon')
    .description('make this device part of the cluster: listen, store tiles, compute')
    .option('--host <address>', 'address to listen at (default: all, of IPv4 and IPv6)', listenHost)
    .option('--port <n>', 'port to listen at; 0 for any free one', integer(0, 65_535), DEFAULT_DEVICE_PORT)
    .option('--name <name>', 'how others see this device (default: its host name)')
    .addOption(storeOption('where to keep tiles'))
    .addOption(storeLimitOption())
    .option('--no-discovery', 'do not advertise on the LAN; others need --peer');
  addComputeOptions(command);
  command.addHelpText(
    'after',
    `
All devices of a cluster have the same key: see "starling key".

Examples:
  $ starling daemon
  $ starling daemon --port 9000 --threads 2`,
  );
  return command.action(async (options: DaemonOptions) => {
    const log = createLogger(options.logLevel, 'daemon');
    const life = await claimHome(paths);
    try {
      // Told to end before it has begun, it leaves nothing in its home.
      if (!signal.aborted) await run(options, life, log);
    } finally {
      if (life !== null) await takeBack(life.remove, log);
    }
  });

  async function run(options: DaemonOptions, life: LifeSign | null, log: Logger): Promise<void> {
    const compute = await resolveCompute(options);
    const identity = await loadIdentity(paths.identityFile, options.name);
    if (identity.warning !== undefined) log.warn(identity.warning);
    const { key, created } = await loadOrCreateKey(paths.keyFile);
    if (created) {
      log.info(
        `made a new cluster key (${key.keyId}); give it to your other devices with "starling key show" and "starling key import"`,
      );
    }
    const storeDir = resolve(options.store ?? paths.storeDir);
    const store = new TileStore(storeDir, storeOptions(options));
    const memory = processMemory(options.memory);
    const daemon = new Daemon({
      identity,
      key,
      ...compute,
      memory,
      store,
      profiler: new DeviceProfiler({ ...compute, memory, store, file: paths.profileFile, version, log }),
      ...(options.host === undefined ? {} : { host: options.host }),
      port: options.port,
      discoverable: options.discovery,
      version,
      log,
    });
    const port = await daemon.start();
    try {
      const { host = '0.0.0.0', backend, threads, storeLimit } = options;
      const told = { backend, threads, memory: options.memory, storeDir, storeLimit };
      await writeRunFile(paths.runFile, {
        pid: process.pid,
        host,
        port,
        id: identity.id,
        life: life?.id,
        run: daemon.run,
        told,
      });
      stdout(
        `${identity.name} (${identity.id}) listens on ${options.host === undefined ? `*:${port}` : hostPort(options.host, port)}, cluster ${key.keyId}, ${compute.backend} kernels, ${compute.threads} threads\n`,
      );
      tellParent({ port });
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    } finally {
      await takeBack(() => removeRunFile(paths.runFile), log);
      await daemon.stop();
    }
  }
}

/**
 * Removes what shows others that this daemon runs. Where that fails, as on a disk that became read-only, the daemon
 * ends all the same: that its process is gone shows too.
 */
async function takeBack(remove: () => Promise<void>, log: Logger): Promise<void> {
  try {
    await remove();
  } catch (thrown) {
    log.warn(toStarlingError(thrown).message);
  }
}
