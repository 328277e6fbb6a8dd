import type { PlannedDevice } from '../../coordinator/cluster/planner/planned-device.ts';
import { Random } from '../../test/fixtures/random.ts';
import { factor, type Jitter, STEADY } from './variation.ts';

/** A device as people have it. Speeds in GB/s of weights in Q4_0. */
interface DeviceKind {
  readonly threads: number;
  /** Of weights: for one row by one thread, by all, and for 64 rows by all. */
  readonly lone: number;
  readonly all: number;
  readonly wide: number;
  /** Of tiles from its disk, checked. */
  readonly disk: number;
  /** Bytes that its owner lends. */
  readonly memory: number;
}

/**
 * Assumed, not measured, but where it says so. One thread and `wide` are what the kernels reach with AVX2 on a core
 * (17 GB/s, and 160 GFLOP/s at 64 rows, which is 0.7 GB/s; docs/PERFORMANCE.md), less where cores are weaker; `all`
 * is bound by the memory, of which plain reading gets three quarters of what stands on the box.
 */
export const DEVICE_KINDS = {
  /** Two channels of DDR4-3200 (51 GB/s on the box), eight cores at a sustained clock, NVMe; 12 of 16 GB. */
  desktop: { threads: 8, lone: 17, all: 30, wide: 4.5, disk: 1.5, memory: 12e9 },
  /** Two channels of slower DDR4 in a thin case, four cores, NVMe; 6 of 8 GB. */
  laptop: { threads: 4, lone: 15, all: 22, wide: 2.4, disk: 1, memory: 6e9 },
  /** One channel of DDR4-2666 (21 GB/s on the box), four small cores, a SATA disk; 3.2 of 4 GB. */
  mini: { threads: 4, lone: 9, all: 14, wide: 1.2, disk: 0.4, memory: 3.2e9 },
  /** The memory in TPI-LLM's record (3.1 GB a device), in laptops; their disks are assumed. */
  'laptop-3gb': { threads: 4, lone: 15, all: 22, wide: 2.4, disk: 1, memory: 3.1e9 },
  /**
   * 8 GB. `all` is from distributed-llama's own table: 4.24 GB of Llama 2 7B in 1.31 s on one of them; `lone` and
   * `wide` (8 GFLOP/s a core) are guessed, an SD card reads 40 MB/s.
   */
  'raspberry-pi-4b': { threads: 4, lone: 2, all: 3.2, wide: 0.14, disk: 0.04, memory: 7e9 },
} as const satisfies Record<string, DeviceKind>;

export type DeviceKindName = keyof typeof DEVICE_KINDS;

/** What Node.js takes of a device's memory, and a thread; milliseconds of a phase beside its tiles. */
const BASE_BYTES = 150e6;
const THREAD_BYTES = 11e6;
const PHASE_MS = 0.03;
/** Of cached keys and values, to those of weights: as measured with AVX2 (6 GB/s a thread where weights get 17). */
const ATTENTION = 0.35;

/** What lies between devices. Milliseconds, and bytes a millisecond. */
interface NetworkKind {
  readonly roundTripMs: number;
  readonly bytesPerMs: number;
  /** One air for all, or a switch, over which each device has a link that sends and receives at once. */
  readonly medium: 'switch' | 'air';
  /** For which a frame has the air to itself beside its bytes. */
  readonly frameMs: number;
  /** Of the latency of each frame. */
  readonly jitter: Jitter;
  /** How much devices differ from each other: deviations of the logarithms. */
  readonly latencySpread: number;
  readonly bandwidthSpread: number;
}

/** Assumed. */
export const NETWORK_KINDS = {
  /**
   * 1 GbE through one switch: TCP gets 110 MB/s of 125; two ends that are woken 50 to 100 µs late make the round trip.
   * One frame in a thousand is late by a time slice of a busy device.
   */
  ethernet: {
    roundTripMs: 0.3,
    bytesPerMs: 110e3,
    medium: 'switch',
    frameMs: 0,
    jitter: { sigma: 0.25, tail: { chance: 0.001, shape: 1.5, leastMs: 1, mostMs: 20 } },
    latencySpread: 0.1,
    bandwidthSpread: 0,
  },
  /**
   * Wi-Fi of two streams on 80 MHz, everybody at one access point, the serving device too: a byte crosses the air
   * twice, so 60 MB/s of TCP one way are 30. Each crossing waits its turn (34 µs, on average 7.5 slots of 9 µs) and
   * has a preamble and an acknowledgement: 0.2 ms, twice. One frame in a hundred is sent again or meets a neighbour.
   */
  wifi: {
    roundTripMs: 3,
    bytesPerMs: 30e3,
    medium: 'air',
    frameMs: 0.4,
    jitter: { sigma: 0.5, tail: { chance: 0.01, shape: 1.5, leastMs: 4, mostMs: 200 } },
    latencySpread: 0.25,
    bandwidthSpread: 0.3,
  },
} as const satisfies Record<string, NetworkKind>;

export type NetworkName = keyof typeof NETWORK_KINDS;

/** How much devices of a kind differ, and how much a device does from one phase, or one read, to the next. */
const SPEED_SPREAD = 0.08;
const DISK_SPREAD = 0.15;
const COMPUTE_JITTER: Jitter = { sigma: 0.04, tail: null };
const DISK_JITTER: Jitter = { sigma: 0.2, tail: null };

/** What a run of the simulation draws from. */
export interface Home {
  /** The serving one first; measured, as profiles are: a plan knows how they differ, and no jitter. */
  readonly devices: readonly PlannedDevice[];
  readonly medium: 'switch' | 'air';
  readonly frameMs: number;
  readonly latency: Jitter;
  readonly compute: Jitter;
  readonly disk: Jitter;
}

/** Devices of one kind on one network, each drawn anew. */
export function homeOf(kind: DeviceKindName, count: number, network: NetworkName, seed: number): Home {
  const random = new Random(seed);
  const { medium, frameMs, jitter, latencySpread, bandwidthSpread, ...link } = NETWORK_KINDS[network];
  const { threads, lone, all, wide, disk, memory } = DEVICE_KINDS[kind];
  const near = (spread: number): number => factor(spread, random);
  const devices = Array.from({ length: count }, (_, d): PlannedDevice => {
    const speed = near(SPEED_SPREAD);
    const rates = (part: number) => ({
      ...{ lone: lone * speed * part * 1e6, all: all * speed * part * 1e6, wide: wide * speed * part * 1e6 },
    });
    return {
      ...{
        id: `${kind}-${d}`,
        name: `${kind}-${d}`,
        backend: 'native',
        threads,
        computesLayers: true,
        scratchBytes: 0,
      },
      profile: {
        formats: { Q4_0: rates(1) },
        attention: rates(ATTENTION),
        phaseMs: PHASE_MS,
        disk: disk * near(DISK_SPREAD) * 1e6,
        // They have a core to spare for it.
        readingMs: 0,
        memory: { budget: memory, base: BASE_BYTES, threadBytes: THREAD_BYTES },
      },
      link:
        d === 0
          ? null
          : {
              roundTripMs: link.roundTripMs * near(latencySpread),
              jitterMs: link.roundTripMs * jitter.sigma,
              // Nobody's is faster than the serving device's own, which is taken to be as fast as the fastest.
              bytesPerMs: link.bytesPerMs * Math.min(1, near(bandwidthSpread)),
            },
    };
  });
  return { devices, medium, frameMs, latency: jitter, compute: COMPUTE_JITTER, disk: DISK_JITTER };
}

/** The same devices, as if each phase were like the next. */
export const withoutJitter = (home: Home): Home => ({ ...home, latency: STEADY, compute: STEADY, disk: STEADY });
