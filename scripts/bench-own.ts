// Measures one decode by a throw-away cluster of this machine, as "starling run --local-devices" makes one.
// Started by the benches (bench-child.ts).
import type { LanguageModel } from '../coordinator/language-model.ts';
import type { DecodeTimes, WarmedTask } from './bench-child.ts';
import { type BenchCluster, withCluster } from './bench-cluster.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface OwnTask extends WarmedTask, BenchCluster {}

async function measure(model: LanguageModel, task: WarmedTask): Promise<DecodeTimes> {
  const { prompt, next } = task;
  await warmUp(model, task);
  const sequence = new LoneSequence(model);
  const timed = async (tokens: readonly number[]): Promise<number> => {
    const start = performance.now();
    likeliest(await sequence.append(tokens));
    return performance.now() - start;
  };
  const prefill_ms = await timed(prompt);
  const token_ms: number[] = [];
  for (const token of next) token_ms.push(await timed([token]));
  return { prefill_ms, token_ms };
}

async function warmUp(model: LanguageModel, { prompt, next, warmUp: { times, ms } }: WarmedTask): Promise<void> {
  await new LoneSequence(model).append(prompt);
  const end = performance.now() + ms;
  for (let time = 0; time < times; time++) {
    const sequence = new LoneSequence(model);
    for (const token of next) {
      if (performance.now() >= end) return;
      likeliest(await sequence.append([token]));
    }
  }
}

/** Choosing a token is part of making one. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

// The bench is gone: the daemons end with this process.
process.once('disconnect', () => process.exit(1));
const task: OwnTask = JSON.parse(process.argv[2] ?? '');
const times = await withCluster(task, ({ forward }) => measure(forward, task));
process.send?.(times, () => process.exit(0));
