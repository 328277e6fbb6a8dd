import type { Random } from '../../test/fixtures/random.ts';
import { type Clock, SerialResource } from './clock.ts';
import type { Home } from './home-devices.ts';
import { varied } from './variation.ts';

/** Frames between devices: each takes its turn on the links at both ends, or on the air that all share. */
export class Network {
  readonly #clock: Clock;
  readonly #home: Home;
  readonly #random: Random;
  readonly #air = new SerialResource();
  readonly #sending: readonly SerialResource[];
  readonly #receiving: readonly SerialResource[];
  /** Bytes a millisecond and median latency of each device's link; the serving device's is as fast as the fastest. */
  readonly #bytesPerMs: readonly number[];
  readonly #oneWayMs: readonly number[];

  constructor(clock: Clock, home: Home, random: Random) {
    this.#clock = clock;
    this.#home = home;
    this.#random = random;
    this.#sending = home.devices.map(() => new SerialResource());
    this.#receiving = home.devices.map(() => new SerialResource());
    const links = home.devices.flatMap(({ link }) => link ?? []);
    const fastest = Math.max(0, ...links.map(({ bytesPerMs }) => bytesPerMs));
    this.#bytesPerMs = home.devices.map(({ link }) => link?.bytesPerMs ?? fastest);
    // A round trip was measured on an idle network, so its frames' turns on the air are in it.
    this.#oneWayMs = home.devices.map(({ link }) => (link === null ? 0 : link.roundTripMs / 2 - home.frameMs));
  }

  /** Milliseconds for which the busier direction of a device's link was in use, or the air. */
  busyMs(device: number): number {
    return Math.max(this.#air.busyMs, this.#sending[device]!.busyMs, this.#receiving[device]!.busyMs);
  }

  /** @param arrived when all of the frame is there */
  send(from: number, to: number, bytes: number, arrived: () => void): void {
    const clock = this.#clock;
    // Of two that are not the serving one, the slower: latency is mostly the ends'.
    const latency = varied(Math.max(this.#oneWayMs[from]!, this.#oneWayMs[to]!), this.#home.latency, this.#random);
    const rates = [this.#bytesPerMs[from]!, this.#bytesPerMs[to]!];
    if (this.#home.medium === 'air') {
      const sent = this.#air.take(clock.now, this.#home.frameMs + bytes / Math.min(...rates));
      clock.at(sent + latency, arrived);
      return;
    }
    const sendMs = bytes / rates[0]!;
    const sent = this.#sending[from]!.take(clock.now, sendMs);
    // The first bytes go on while the last ones are still to leave.
    clock.at(sent - sendMs + latency, () => {
      const received = this.#receiving[to]!.take(clock.now, bytes / rates[1]!);
      clock.at(Math.max(received, sent + latency), arrived);
    });
  }
}
