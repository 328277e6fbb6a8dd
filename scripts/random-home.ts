import type { Random } from '../test/fixtures/random.ts';
import type { DeviceLimits } from './emulated-device.ts';
import type { DistantLimits, Home } from './emulated-home.ts';

const MOST_DEVICES = 4;
const LEAST_CPU = 0.1;
/** What devices of one core have of it together: the rest is the relay's, and other programs'. */
const MOST_CPU = 0.9;
/** That a process needs beside tiles: its own, its caches and its buffers, with some room. */
export const ROOM_BYTES = 250e6;

/**
 * A home of one to four devices that this machine can emulate.
 * @param cores of this machine; devices beyond them share cores
 * @param tileBytes of the model: some devices have memory for all of it, others for a part
 */
export function randomHome(random: Random, cores: number, tileBytes: number): Home {
  const count = random.between(1, MOST_DEVICES);
  const cpus = shared(
    Array.from({ length: count }, () => LEAST_CPU + (1 - LEAST_CPU) * random.unit()),
    cores,
  );
  const [serving, ...others] = cpus.map(
    (cpu, i): DeviceLimits => ({
      core: String(i % cores),
      cpu,
      memory: Math.round(ROOM_BYTES + tileBytes * (random.chance(0.5) ? 1.1 : 0.1 + 0.6 * random.unit())),
      disk: Math.round(between(random, 50, 1000) * 1e6),
    }),
  );
  const distant = others.map(
    (limits): DistantLimits => ({
      ...limits,
      // For the most part near, as rooms of a home are.
      delayMs: round(5 * random.unit() ** 2),
      mbit: Math.round(between(random, 10, 1000)),
    }),
  );
  return { serving: serving!, others: distant, mbit: Math.max(10, ...distant.map(({ mbit }) => mbit)) };
}

/** The parts of those that share a core, made smaller where they are too much together. */
function shared(cpus: readonly number[], cores: number): number[] {
  return cpus.map((cpu, i) => {
    const others = cpus.filter((_, other) => other !== i && other % cores === i % cores);
    const all = others.reduce((sum, other) => sum + other, cpu);
    if (others.length === 0 || all <= MOST_CPU) return round(cpu);
    const spare = MOST_CPU - LEAST_CPU * (others.length + 1);
    return round(LEAST_CPU + ((cpu - LEAST_CPU) / (all - LEAST_CPU * (others.length + 1))) * spare);
  });
}

/** As likely in each factor of two. */
const between = (random: Random, low: number, high: number): number => low * (high / low) ** random.unit();

const round = (value: number): number => Math.round(value * 100) / 100;
