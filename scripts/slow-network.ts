import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import { median } from './bench-statistics.ts';
import type { SlowNetworkData } from './slow-network-worker.ts';

/** What a byte waits for between the coordinator and any device. */
export interface NetworkSpeed {
  /** Milliseconds from one side to the other, give or take half a one. */
  readonly delayMs: number;
  /** Megabits a second of the coordinator's connection, which all devices share, in each direction; null for no limit. */
  readonly mbit: number | null;
}

const PINGS = 20;

/** A network on this machine that is as slow as wanted: a relay in front of each device, in a thread of its own. */
export class SlowNetwork {
  /** Where the devices are reached through it, in their order. */
  readonly endpoints: readonly Endpoint[];
  readonly #worker: Worker;

  private constructor(endpoints: readonly Endpoint[], worker: Worker) {
    this.endpoints = endpoints;
    this.#worker = worker;
  }

  static async start(devices: readonly Endpoint[], speed: NetworkSpeed): Promise<SlowNetwork> {
    const workerData: SlowNetworkData = { ...speed, devices };
    const worker = new Worker(new URL('./slow-network-worker.js', import.meta.url), { workerData });
    const [ports] = (await once(worker, 'message')) as [number[]];
    return new SlowNetwork(
      ports.map((port) => ({ host: '127.0.0.1', port })),
      worker,
    );
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
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
