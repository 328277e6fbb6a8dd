// The relays of slow-network.ts.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import type { NetworkSpeed } from './slow-network.ts';

export interface SlowNetworkData extends NetworkSpeed {
  readonly devices: readonly Endpoint[];
}

const BITS_PER_BYTE = 8;
/** Timers are off by up to a millisecond: what is due this soon goes along with what is. */
const EARLY_MS = 0.5;

const { devices, delayMs, mbit } = workerData as SlowNetworkData;

/** One direction of the coordinator's connection: passes on what comes, in order, when its last byte would have arrived. */
class Line {
  readonly #underWay: { readonly due: number; readonly bytes: Buffer; readonly to: Socket }[] = [];
  /** When all that was given to it has been sent. */
  #freeAt = 0;

  carry(bytes: Buffer, to: Socket): void {
    const now = performance.now();
    const sendMs = mbit === null ? 0 : (bytes.length * BITS_PER_BYTE) / (mbit * 1000);
    this.#freeAt = Math.max(this.#freeAt, now) + sendMs;
    const due = this.#freeAt + delayMs;
    this.#underWay.push({ due, bytes, to });
    if (due <= now + EARLY_MS) this.#deliver(due);
    else setTimeout(() => this.#deliver(due), due - now);
  }

  #deliver(due: number): void {
    while (this.#underWay.length > 0 && this.#underWay[0]!.due <= performance.now() + EARLY_MS) {
      const { bytes, to } = this.#underWay.shift()!;
      to.write(bytes);
    }
    // A timer may also be early.
    if (this.#underWay.length > 0 && this.#underWay[0]!.due <= due) setTimeout(() => this.#deliver(due), 1);
  }
}

const [out, back] = [new Line(), new Line()];

function relay(from: Socket, to: Socket, line: Line): void {
  from.on('data', (bytes: Buffer) => line.carry(bytes, to));
  from.on('close', () => to.destroy());
  from.on('error', () => to.destroy());
}

const ports = devices.map(async (device) => {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ ...device, noDelay: true });
    relay(near, far, out);
    relay(far, near, back);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
});
parentPort?.postMessage(await Promise.all(ports));
