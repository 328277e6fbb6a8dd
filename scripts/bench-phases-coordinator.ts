// The coordinator of one measurement of bench-phases.ts, in a process of its own.
import { type Account, accountBetween } from '../coordinator/cluster/accounting.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import { WHOLE_STEPS } from '../coordinator/cluster/overlap.ts';
import { type BenchPeers, withPeers } from './bench-cluster.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface PhasesTask extends Omit<BenchPeers, 'ownShare' | 'head' | 'overlap'> {
  /** Of the steps that are measured one after another: how many rows. */
  readonly rows: readonly number[];
  /** Steps of each number of rows. */
  readonly steps: number;
  readonly tokens: readonly number[];
}

/** A step as the coordinator saw it. */
export interface MeasuredStep {
  readonly rows: number;
  readonly ms: number;
  /** Of this step alone. */
  readonly account: Account;
}

const WARM_UP_STEPS = 12;

async function measure(cluster: Cluster, { rows, steps, tokens }: PhasesTask): Promise<MeasuredStep[]> {
  const measured: MeasuredStep[] = [];
  // In turn, as machines are faster at one moment than at another.
  for (let step = -WARM_UP_STEPS; step < steps; step++) {
    for (const count of rows) {
      const sequence = new LoneSequence(cluster.forward);
      const before = cluster.account();
      const begun = performance.now();
      await sequence.append(tokens.slice(0, count));
      const ms = performance.now() - begun;
      if (step >= 0) measured.push({ rows: count, ms, account: accountBetween(before, cluster.account()) });
    }
  }
  return measured;
}

process.once('disconnect', () => process.exit(1));
const task: PhasesTask = JSON.parse(process.argv[2] ?? '');
const steps = await withPeers({ ...task, ownShare: true, overlap: WHOLE_STEPS }, (cluster) => measure(cluster, task));
process.send?.(steps, () => process.exit(0));
