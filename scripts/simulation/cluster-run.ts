import { SERVING, slowness } from '../../coordinator/cluster/planner/pass-cost.ts';
import { Random } from '../../test/fixtures/random.ts';
import { Clock, SerialResource } from './clock.ts';
import type { Home } from './home-devices.ts';
import { Network } from './network.ts';
import { TileRing } from './tile-ring.ts';
import type { Topology } from './topology.ts';
import { varied } from './variation.ts';

/** A phase as it is simulated; arrays are by device. */
export interface SimulatedPhase {
  readonly rows: number;
  /** Bytes to each device; and back from it, whoever's sums are in it; and besides for its own tiles' logits. */
  readonly inputBytes: number;
  readonly sumBytes: number;
  readonly logitBytes: readonly number[];
  /** Tiles in their order: bytes of one that is read from the disk, 0 of one in memory. */
  readonly tiles: readonly (readonly number[])[];
  /** Of all of a device's tiles. */
  readonly computeMs: readonly number[];
}

/** What passes took, and in what part of their time the serving device was busy beside its tiles, or its link was. */
export interface RunTimes {
  readonly ms: readonly number[];
  readonly serving: number;
  readonly link: number;
}

/**
 * Computes passes one after the other, as events: frames leave one by one, arrive late by chance, tiles are computed as
 * they come from the disk, and answers wait for the link and for whoever adds them up.
 * @param slots of the rings through which the devices read what their memory does not hold
 * @param passes counted, after one that fills the rings
 */
export function runCluster(
  home: Home,
  topology: Topology,
  phases: readonly SimulatedPhase[],
  slots: readonly number[],
  { passes, seed }: { readonly passes: number; readonly seed: number },
): RunTimes {
  const clock = new Clock();
  const random = new Random(seed);
  const network = new Network(clock, home, random);
  const processors = topology.map(() => new SerialResource());
  const rings = home.devices.map(
    ({ profile }, d) => new TileRing(slots[d]!, (bytes) => varied(bytes / profile.disk, home.disk, random)),
  );
  const prepared = phases.map((phase): PreparedPhase => ({ phase, members: membersOf(phase, topology) }));
  const slow = slowness(home.devices);
  let servingMs = 0;

  /** Serving is work of one thread; others' frames are the work of whoever has them to pass on. */
  const serve = (device: number, ms: number): number => {
    if (device === 0) servingMs += ms;
    return processors[device]!.take(clock.now, ms);
  };

  const runPhase = ({ phase, members }: PreparedPhase, done: () => void): void => {
    const more = phase.rows - 1;
    // Half of it before a frame leaves, half when its answer is here.
    const frameMs = (slow * (SERVING.deviceMs + more * SERVING.deviceRowMs)) / 2;
    const { helpers, answerBytes } = members;
    const awaited = [...members.awaited];

    const contribute = (device: number): void => {
      awaited[device] = awaited[device]! - 1;
      if (awaited[device]! > 0) return;
      const to = topology[device] ?? null;
      if (to === null) done();
      else network.send(device, to, answerBytes[device]!, () => clock.at(serve(to, frameMs), () => contribute(to)));
    };
    const begin = (device: number): void => {
      for (const helper of helpers[device]!) {
        clock.at(serve(device, frameMs), () => network.send(device, helper, phase.inputBytes, () => begin(helper)));
      }
      const tiles = phase.tiles[device]!;
      if (tiles.length === 0) return;
      const processor = processors[device]!;
      clock.at(processor.take(clock.now, 0), () => {
        const ms = varied(phase.computeMs[device]!, home.compute, random);
        const end = rings[device]!.compute(clock.now, ms, tiles);
        clock.at(processor.take(clock.now, end - clock.now), () => contribute(device));
      });
    };
    clock.at(serve(0, slow * (SERVING.phaseMs + more * SERVING.rowMs)), () => begin(0));
  };

  const runPass = (): number => {
    const begun = clock.now;
    const next = (p: number): void => {
      const phase = prepared[p];
      if (phase !== undefined) runPhase(phase, () => next(p + 1));
    };
    next(0);
    clock.run();
    return clock.now - begun;
  };

  runPass();
  const before = { at: clock.now, serving: servingMs, link: network.busyMs(0) };
  const ms = Array.from({ length: passes }, runPass);
  const all = clock.now - before.at;
  return { ms, serving: (servingMs - before.serving) / all, link: (network.busyMs(0) - before.link) / all };
}

/** Who takes part in a phase; by device. */
interface Members {
  /** To whom it passes the input on, and whose sums it adds. */
  readonly helpers: readonly (readonly number[])[];
  /** Contributions that it waits for, its own among them. */
  readonly awaited: readonly number[];
  readonly answerBytes: readonly number[];
}

interface PreparedPhase {
  readonly phase: SimulatedPhase;
  readonly members: Members;
}

/** Sums of a group are as long as those of one device, logits are not. */
function membersOf({ tiles, sumBytes, logitBytes }: SimulatedPhase, topology: Topology): Members {
  const helpers = topology.map((): number[] => []);
  const logits = [...logitBytes];
  // Whoever answers another one stands behind it.
  for (let d = topology.length - 1; d > 0; d--) {
    if (tiles[d]!.length === 0 && helpers[d]!.length === 0) continue;
    const to = topology[d]!;
    helpers[to]!.unshift(d);
    logits[to] = logits[to]! + logits[d]!;
  }
  return {
    helpers,
    awaited: helpers.map(({ length }, d) => length + (tiles[d]!.length > 0 ? 1 : 0)),
    answerBytes: logits.map((bytes) => sumBytes + bytes),
  };
}
