// The coordinator of one measurement of bench-window.ts, in a process of its own.
import { createHash } from 'node:crypto';
import { type Account, accountBetween } from '../coordinator/cluster/accounting.ts';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { DecodeTask, DecodeTimes } from './bench-child.ts';
import { type BenchPeers, withPeers } from './bench-cluster.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface WindowTask extends DecodeTask, Omit<BenchPeers, 'ownShare'> {}

export interface WindowTimes extends DecodeTimes {
  readonly logits_sha256: string;
  /** Of the decoded tokens together. */
  readonly account: Account;
}

async function measure(cluster: Cluster, task: WindowTask): Promise<WindowTimes> {
  const hash = createHash('sha256');
  const sequence = new LoneSequence(cluster);
  const timed = async (tokens: readonly number[]): Promise<number> => {
    const start = performance.now();
    const logits = await sequence.append(tokens);
    const ms = performance.now() - start;
    hash.update(logits);
    return ms;
  };
  // The first pass over the tiles also verifies their hashes; it is not counted as decoding.
  const prefill_ms = await timed(task.prompt);
  const before = cluster.account();
  const token_ms: number[] = [];
  for (const token of task.next) token_ms.push(await timed([token]));
  const account = accountBetween(before, cluster.account());
  return { prefill_ms, token_ms, logits_sha256: hash.digest('hex'), account };
}

process.once('disconnect', () => process.exit(1));
const task: WindowTask = JSON.parse(process.argv[2] ?? '');
const times = await withPeers({ ...task, ownShare: false }, (cluster) => measure(cluster, task));
process.send?.(times, () => process.exit(0));
