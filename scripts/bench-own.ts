// Measures one decode by a throw-away cluster of this machine, as "starling run --local-devices" makes one.
// Started by the benches (bench-child.ts).
import type { LanguageModel } from '../coordinator/language-model.ts';
import type { DecodeTimes, WarmedTask } from './bench-child.ts';
import { type BenchCluster, withCluster } from './bench-cluster.ts';
import { timedAppend, warmUp } from './decode-steps.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface OwnTask extends WarmedTask, BenchCluster {}

async function measure(model: LanguageModel, task: WarmedTask): Promise<DecodeTimes> {
  await warmUp(model, task);
  const sequence = new LoneSequence(model);
  const { ms: prefill_ms } = await timedAppend(sequence, task.prompt);
  const token_ms: number[] = [];
  for (const token of task.next) token_ms.push((await timedAppend(sequence, [token])).ms);
  return { prefill_ms, token_ms };
}

// The bench is gone: the daemons end with this process.
process.once('disconnect', () => process.exit(1));
const task: OwnTask = JSON.parse(process.argv[2] ?? '');
const times = await withCluster(task, (cluster) => measure(cluster, task));
process.send?.(times, () => process.exit(0));
