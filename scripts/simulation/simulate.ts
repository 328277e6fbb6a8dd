import { computeMs, type Pass } from '../../coordinator/cluster/planner/pass-cost.ts';
import { kvHeadsOfRun, type PhaseWork, phaseWorks } from '../../coordinator/cluster/planner/phase-work.ts';
import { type Plan, type PlanWishes, plan } from '../../coordinator/cluster/planner/plan.ts';
import { EXAMPLE_PROMPT, tokenPass } from '../../coordinator/cluster/planner/predict.ts';
import { MAX_ROWS } from '../../daemon/engine/engine-spec.ts';
import { arenaBytesOf, planMemory } from '../../daemon/engine/memory-plan.ts';
import { tileBytes } from '../../daemon/tile/tile.ts';
import type { PlannedModel } from '../../test/fixtures/planning-cases.ts';
import { percentile } from '../bench-statistics.ts';
import { runCluster, type SimulatedPhase } from './cluster-run.ts';
import { type Home, withoutJitter } from './home-devices.ts';
import type { Topology } from './topology.ts';

/** Positions that the caches hold, of one conversation. */
const CONTEXT = 4096;
const LOAD = { users: 1, context: CONTEXT };
/** What is simulated: a token after the example prompt, or a step of that prompt in its middle. */
export const PASSES = {
  token: tokenPass(LOAD),
  prompt: { rows: MAX_ROWS, positions: EXAMPLE_PROMPT / 2, isPrompt: true },
} as const satisfies Record<string, Pass>;

/** One pass is like the next but for the place in which a ring begins. */
const STEADY_PASSES = 4;

export type PassName = keyof typeof PASSES;

/** Milliseconds of a token, or of a token of a prompt. */
export interface Simulation {
  /** As the planner predicts for a star. */
  readonly predictedMs: number;
  /** Without jitter: what is above the prediction is waiting for links that others use, or for the disk. */
  readonly steadyMs: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Parts of the time in which the serving device sends, adds up and norms, and in which its link (or the air) is busy. */
  readonly serving: number;
  readonly link: number;
}

/**
 * @param use the devices that make a token fastest, as Starling does, or all of them
 * @throws StarlingError memory_too_small
 */
export function planHome({ tiles, engine }: PlannedModel, home: Home, use: PlanWishes['use']): Plan {
  return plan(tiles, engine, home.devices, { ...LOAD, head: 'auto', use, conversations: 1 });
}

/** @param passes how many are simulated */
export function simulate(
  { tiles, engine }: PlannedModel,
  home: Home,
  { division, shares, kvPages, predicted }: Plan,
  topology: Topology,
  name: PassName,
  options: { readonly passes: number; readonly seed: number },
): Simulation {
  const pass = PASSES[name];
  const works = phaseWorks(tiles, engine).map((work, p) => ({ work, counts: division[p]! }));
  const rings = home.devices.map((device) => {
    const { profile, threads, backend, scratchBytes, id } = device;
    const { plan } = planMemory({
      ...profile.memory,
      ...{ spec: { ...engine, kvPages }, tiles: shares.get(id)!, threads, scratchBytes },
      arenaBytes: arenaBytesOf(backend),
    });
    return { slots: plan.slots, stream: plan.stream, tiles: shares.get(id)!, at: 0 };
  });
  /** The next tiles of a device's share: bytes where they are read. */
  const nextTiles = (device: number, count: number): number[] => {
    const ring = rings[device]!;
    const next = ring.tiles.slice(ring.at, ring.at + count);
    const bytes = next.map((tile, i) => (isRead(ring.stream[ring.at + i]) ? tileBytes(tile) : 0));
    ring.at += count;
    return bytes;
  };
  const phases = works.map(({ work, counts }) => simulatedPhase(home, work, counts, pass, nextTiles));
  // Of a prompt, its last row alone goes through the head.
  const computed = name === 'token' ? phases : phases.filter((_, p) => works[p]!.work.kind !== 'head');
  const slots = rings.map((ring) => ring.slots);
  const tokens = name === 'token' ? 1 : pass.rows;
  const { ms, serving, link } = runCluster(home, topology, computed, slots, options);
  const steady = runCluster(withoutJitter(home), topology, computed, slots, { ...options, passes: STEADY_PASSES });
  return {
    predictedMs: name === 'token' ? predicted.tokenMs : predicted.promptMs / predicted.promptTokens,
    steadyMs: mean(steady.ms) / tokens,
    meanMs: mean(ms) / tokens,
    p50Ms: percentile(ms, 0.5) / tokens,
    p99Ms: percentile(ms, 0.99) / tokens,
    serving,
    link,
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;

const isRead = (place: number | null | undefined): boolean => place !== null && place !== undefined;

function simulatedPhase(
  { devices }: Home,
  work: PhaseWork,
  counts: readonly number[],
  pass: Pass,
  nextTiles: (device: number, count: number) => number[],
): SimulatedPhase {
  let first = 0;
  const runs = counts.map((count, d) => {
    const [from, end] = work.kv === null ? [0, 0] : kvHeadsOfRun(work.kv, first, count);
    first += count;
    const kvHeads = end - from;
    return {
      tiles: nextTiles(d, count + kvHeads),
      computeMs: computeMs(devices[d]!, work, pass, count, kvHeads),
      logitBytes: pass.rows * count * work.tileAnswerBytes,
    };
  });
  return {
    rows: pass.rows,
    inputBytes: pass.rows * work.inputBytes,
    sumBytes: pass.rows * work.answerBytes,
    logitBytes: runs.map(({ logitBytes }) => logitBytes),
    tiles: runs.map(({ tiles }) => tiles),
    computeMs: runs.map((run) => run.computeMs),
  };
}
