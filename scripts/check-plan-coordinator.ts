// The serving device of one measurement of check-plan.ts, in a process of its own.
import {
  type Account,
  accountBetween,
  type ConstraintTimes,
  constraintTimes,
} from '../coordinator/cluster/accounting.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { Plan } from '../coordinator/cluster/planner/plan.ts';
import type { Prediction } from '../coordinator/cluster/planner/predict.ts';
import { type BenchPeers, withPeers } from './bench-cluster.ts';
import { median } from './bench-statistics.ts';
import { timedAppend } from './decode-steps.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface PlanTask extends Omit<BenchPeers, 'ownShare' | 'head' | 'overlap'> {
  /** The device that is to compute the whole model, this one being 0; null for whom the plan chooses. */
  readonly alone: number | null;
  readonly prompt: readonly number[];
  /** Fed one by one after the prompt. */
  readonly next: readonly number[];
}

/** Of one device, for a token. */
export interface PlannedPart {
  readonly name: string;
  readonly predicted: ConstraintTimes | null;
  readonly measured: ConstraintTimes;
}

/** A plan, and what it led to. */
export interface PlanRun {
  /** Of a token, in milliseconds. */
  readonly predictedMs: number;
  readonly measuredMs: number;
  /** In words: who computes how much. */
  readonly plan: string;
  readonly devices: readonly PlannedPart[];
}

/** A slow home is not measured for longer than this, but for some tokens in any case. */
const MOST_MS = 15_000;
const LEAST_TOKENS = 5;
/** Beginnings are slower: code is compiled, and rings of streamed tiles are filled. */
const WARM_UP_TOKENS = 2;

async function measure(cluster: Cluster, { prompt, next }: PlanTask): Promise<{ ms: number; account: Account }> {
  const sequence = new LoneSequence(cluster.forward);
  await sequence.append(prompt);
  for (const token of next.slice(0, WARM_UP_TOKENS)) await timedAppend(sequence, [token]);
  const begun = performance.now();
  const before = cluster.account();
  const times: number[] = [];
  for (const token of next.slice(WARM_UP_TOKENS)) {
    if (times.length >= LEAST_TOKENS && performance.now() - begun > MOST_MS) break;
    times.push((await timedAppend(sequence, [token])).ms);
  }
  return { ms: median(times), account: accountBetween(before, cluster.account()) };
}

const perToken = ({ compute, disk, network }: ConstraintTimes, tokens: number): ConstraintTimes => ({
  compute: compute / tokens,
  disk: disk / tokens,
  network: network / tokens,
});

/** Who computes how much of the weights. */
function inWords({ predicted, leftOut }: Plan): string {
  const all = predicted.devices.reduce((sum, { memory }) => sum + memory.bytes, 0);
  const shares = predicted.devices
    .filter(({ memory }) => memory.bytes > 0)
    .map(({ name, memory }) => `${name} ${Math.round((100 * memory.bytes) / all)} %`);
  return [...shares, ...leftOut.map(({ name, reason }) => `${name} ${reason}`)].join(', ');
}

function predictedOf({ devices }: Prediction, id: string): ConstraintTimes | null {
  const found = devices.find((device) => device.id === id);
  return found === undefined ? null : constraintTimes({ ...found, bytesRead: 0 });
}

/** Brings the model up as planned, and measures tokens. */
async function predictAndMeasure(task: PlanTask): Promise<PlanRun> {
  const { alone, peers } = task;
  const used = alone === null ? peers : peers.filter((_, i) => i + 1 === alone);
  const ownShare = alone === null || alone === 0;
  const head = ownShare ? 'auto' : 'shared';
  const devices = alone === null ? 'auto' : 'all';
  return withPeers({ ...task, peers: used, ownShare, head, devices, measures: true }, async (cluster) => {
    const { predicted } = cluster.plan;
    const { ms, account } = await measure(cluster, task);
    return {
      predictedMs: predicted.tokenMs,
      measuredMs: ms,
      plan: inWords(cluster.plan),
      devices: account.devices.map((device) => ({
        name: device.name,
        predicted: predictedOf(predicted, device.id),
        measured: perToken(constraintTimes(device), account.steps),
      })),
    };
  });
}

process.once('disconnect', () => process.exit(1));
const task: PlanTask = JSON.parse(process.argv[2] ?? '');
const run = await predictAndMeasure(task);
process.send?.(run, () => process.exit(0));
