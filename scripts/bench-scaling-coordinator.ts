// The coordinator of one measurement of bench-scaling.ts, in a process of its own.
import { createHash } from 'node:crypto';
import type { Cluster } from '../coordinator/cluster/cluster.ts';
import type { DecodeTimes, WarmedTask } from './bench-child.ts';
import { type BenchPeers, withPeers } from './bench-cluster.ts';
import { type CoreList, coresOf } from './cores.ts';
import { timedAppend, warmUp } from './decode-steps.ts';
import { LoneSequence } from './lone-sequence.ts';
import { divideTime, type TimeDivision } from './time-division.ts';

export interface ScalingTask extends WarmedTask, Omit<BenchPeers, 'ownShare'> {}

export interface ScalingTimes extends DecodeTimes {
  /** Of the logits after the prompt and after each token. */
  readonly logits_sha256: string;
  /** Of the prompt. */
  readonly prefill_division: TimeDivision;
  /** Of a token. */
  readonly decode_division: TimeDivision;
  /** Where this process ran. */
  readonly cores: CoreList | null;
}

async function measure(cluster: Cluster, task: ScalingTask): Promise<ScalingTimes> {
  await warmUp(cluster, task);
  const hash = createHash('sha256');
  const sequence = new LoneSequence(cluster);
  const timed = async (tokens: readonly number[]): Promise<number> => {
    const { ms, logits } = await timedAppend(sequence, tokens);
    hash.update(logits);
    return ms;
  };
  const begun = cluster.account();
  const prefill_ms = await timed(task.prompt);
  const between = cluster.account();
  const token_ms: number[] = [];
  for (const token of task.next) token_ms.push(await timed([token]));
  const ended = cluster.account();
  const decodeMs = token_ms.reduce((sum, ms) => sum + ms, 0);
  return {
    prefill_ms,
    token_ms,
    logits_sha256: hash.digest('hex'),
    prefill_division: divideTime(begun, between, prefill_ms, 1),
    decode_division: divideTime(between, ended, decodeMs, token_ms.length),
    cores: await coresOf(process.pid),
  };
}

process.once('disconnect', () => process.exit(1));
const task: ScalingTask = JSON.parse(process.argv[2] ?? '');
const times = await withPeers({ ...task, ownShare: true }, (cluster) => measure(cluster, task));
process.send?.(times, () => process.exit(0));
