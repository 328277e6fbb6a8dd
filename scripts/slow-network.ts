import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import { median } from './bench-statistics.ts';
import { type CompiledProgram, compileC } from './compile-c.ts';

/** What a byte waits for between the coordinator and any device. */
export interface NetworkSpeed {
  /** Milliseconds from one side to the other: never less, and rarely 0.05 more. */
  readonly delayMs: number;
  /**
   * Megabits a second of the coordinator's connection, which all devices share, in each direction; null for no limit.
   */
  readonly mbit: number | null;
}

/** A device, and what a byte waits for between it and the coordinator. */
export interface DistantDevice {
  readonly endpoint: Endpoint;
  readonly delayMs: number;
  /** Megabits a second of the device's own connection, in each direction; null for no limit. */
  readonly mbit: number | null;
}

/** How late the network passed on what was due, in milliseconds. */
export interface Lateness {
  readonly pieces: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const PINGS = 20;

/**
 * A network on this machine that is as slow as wanted: a relay in front of each device, all in one process (relay.c).
 */
export class SlowNetwork {
  /** Where the devices are reached through it, in their order. */
  readonly endpoints: readonly Endpoint[];
  readonly #relay: ChildProcess;
  readonly #program: CompiledProgram;
  #output = '';

  private constructor(endpoints: readonly Endpoint[], relay: ChildProcess, program: CompiledProgram) {
    this.endpoints = endpoints;
    this.#relay = relay;
    this.#program = program;
    relay.stdout?.on('data', (text: string) => {
      this.#output += text;
    });
  }

  /**
   * Devices that are all as far away.
   * @param devices by IPv4 address
   * @throws Error without Linux or a C compiler
   */
  static start(devices: readonly Endpoint[], { delayMs, mbit }: NetworkSpeed): Promise<SlowNetwork> {
    return SlowNetwork.startEach(
      devices.map((endpoint) => ({ endpoint, delayMs, mbit: null })),
      mbit,
    );
  }

  /**
   * @param devices by IPv4 address
   * @param mbit of the coordinator's connection
   * @throws Error without Linux or a C compiler
   */
  static async startEach(devices: readonly DistantDevice[], mbit: number | null): Promise<SlowNetwork> {
    if (process.platform !== 'linux') throw new Error('a slow network is made on Linux only');
    const program = await compileC('relay', ['-O2']).catch((cause: unknown) => {
      throw new Error('a slow network needs a C compiler: install one, or name it in CC', { cause });
    });
    try {
      const bits = (speed: number | null): number => Math.round((speed ?? 0) * 1e6);
      const servers = devices.map(
        ({ endpoint: { host, port }, ...own }) => `${host}:${port}/${Math.round(own.delayMs * 1e6)}/${bits(own.mbit)}`,
      );
      // It ends with this process: its input then does.
      const relay = spawn(program.path, [String(bits(mbit)), ...servers], { stdio: ['pipe', 'pipe', 'inherit'] });
      relay.stdout.setEncoding('utf8');
      const ended = once(relay, 'exit').then(([code, signal]) => {
        throw new Error(`the relay ended with ${signal ?? `code ${code}`}`);
      });
      const [ports] = (await Promise.race([once(relay.stdout, 'data'), ended])) as [string];
      ended.catch(() => {});
      const endpoints = ports.trim().split(' ');
      return new SlowNetwork(
        endpoints.map((port) => ({ host: '127.0.0.1', port: Number(port) })),
        relay,
        program,
      );
    } catch (error) {
      await program.remove();
      throw error;
    }
  }

  /** @returns how late it was; null where nothing passed through */
  async stop(): Promise<Lateness | null> {
    const closed = once(this.#relay, 'close');
    this.#relay.stdin?.end();
    await closed;
    await this.#program.remove();
    const [pieces = 0, p50 = 0, p99 = 0] = this.#output.trim().split(' ').map(Number);
    return pieces === 0 ? null : { pieces, p50Ms: p50 / 1e6, p99Ms: p99 / 1e6 };
  }
}

/** The middle of some round trips of one byte over such a network, in milliseconds. */
export async function roundTripMs(speed: NetworkSpeed): Promise<number> {
  const echo = createServer((socket) =>
    socket
      .setNoDelay(true)
      .pipe(socket)
      .on('error', () => {}),
  );
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('the echo has no port');
  const network = await SlowNetwork.start([{ host: '127.0.0.1', port: address.port }], speed);
  const socket = connect({ ...network.endpoints[0]!, noDelay: true });
  try {
    await once(socket, 'connect');
    const times: number[] = [];
    for (let ping = 0; ping < PINGS; ping++) {
      const begun = performance.now();
      socket.write('x');
      await once(socket, 'data');
      times.push(performance.now() - begun);
    }
    return median(times);
  } finally {
    socket.destroy();
    await network.stop();
    echo.close();
  }
}
