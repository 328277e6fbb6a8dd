import { type ChildProcess, fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClusterKey, importKey } from '../../daemon/cluster-key.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { homePaths } from '../../daemon/paths.ts';
import type { BackendName } from '../../kernels/kernels.ts';
import type { Endpoint } from '../cluster/find-devices.ts';
import { makeThrowAwayHome, type ThrowAwayHome } from './throw-away-home.ts';

export interface LocalDevicesOptions {
  readonly count: number;
  readonly key: ClusterKey;
  /** Shared by all of them: tiles are cut once, however many devices there are. */
  readonly storeDir: string;
  readonly backend: BackendName;
  readonly threads: number;
  /** Bytes of each. */
  readonly memory: number;
}

const START_MS = 30_000;

/** Daemons of a throw-away cluster: processes of this machine that end with this one. */
export class LocalDevices {
  readonly endpoints: readonly Endpoint[];
  readonly #processes: readonly ChildProcess[];
  readonly #home: ThrowAwayHome;

  private constructor(endpoints: readonly Endpoint[], processes: readonly ChildProcess[], home: ThrowAwayHome) {
    this.endpoints = endpoints;
    this.#processes = processes;
    this.#home = home;
  }

  /** @throws StarlingError device_unreachable when one does not come up; store_failed */
  static async start(options: LocalDevicesOptions): Promise<LocalDevices> {
    const home = await makeThrowAwayHome(tmpdir());
    const processes: ChildProcess[] = [];
    try {
      const homes = Array.from({ length: options.count }, (_, i) => join(home.folder, `device-${i + 1}`));
      for (const each of homes) await importKey(homePaths({ STARLING_HOME: each }).keyFile, options.key);
      processes.push(...homes.map((each, i) => spawnDaemon(each, i + 1, options)));
      // All at once: one that ends while another is waited for is noticed.
      const ports = await Promise.all(processes.map(portOf));
      return new LocalDevices(
        ports.map((port) => ({ host: '127.0.0.1', port })),
        processes,
        home,
      );
    } catch (error) {
      await end(processes, home);
      throw error;
    }
  }

  /** Of the daemons, in the order of `endpoints`. */
  get pids(): number[] {
    return this.#processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  stop(): Promise<void> {
    return end(this.#processes, this.#home);
  }
}

function spawnDaemon(
  home: string,
  device: number,
  { storeDir, backend, threads, memory }: LocalDevicesOptions,
): ChildProcess {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const args = ['daemon', '--host', '127.0.0.1', '--port', '0', '--no-discovery', '--store', storeDir];
  args.push('--name', `local-${device}`, '--backend', backend, '--threads', String(threads), '--log-level', 'warn');
  args.push('--memory', String(memory));
  return fork(main, args, {
    env: { ...process.env, STARLING_HOME: home },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Ctrl-C goes to the whole terminal group; these end with their parent instead.
    detached: true,
  });
}

/** A daemon started with an IPC channel tells its port through it, and ends when the channel closes. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(
        new StarlingError('device_unreachable', `a local device did not start (${why}); run it with --log-level debug`),
      );
    };
    const timer = setTimeout(() => fail(`no answer within ${START_MS / 1000} s`), START_MS);
    child.once('exit', (code, signal) => fail(`ended with ${signal ?? `code ${code}`}`));
    child.once('error', (error) => fail(error.message));
    child.once('message', (message) => {
      clearTimeout(timer);
      child.removeAllListeners('exit');
      child.removeAllListeners('error');
      resolve((message as { port: number }).port);
    });
  });
}

async function end(processes: readonly ChildProcess[], home: ThrowAwayHome): Promise<void> {
  await Promise.all(
    processes.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve();
          child.once('exit', () => resolve());
          if (child.connected) child.disconnect();
          else child.kill();
        }),
    ),
  );
  await home.remove();
}
