import type { LanguageModel } from '../coordinator/language-model.ts';
import type { WarmedTask } from './bench-child.ts';
import { LoneSequence } from './lone-sequence.ts';

/**
 * Computes the next positions and chooses a token, which is part of making one.
 * @returns milliseconds, and the logits
 */
export async function timedAppend(
  sequence: LoneSequence,
  tokens: readonly number[],
): Promise<{ readonly ms: number; readonly logits: Float32Array }> {
  const start = performance.now();
  const logits = await sequence.append(tokens);
  likeliest(logits);
  return { ms: performance.now() - start, logits };
}

/** What a task wants before the clock runs. */
export async function warmUp(model: LanguageModel, { prompt, next, warmUp: { times, ms } }: WarmedTask): Promise<void> {
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

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}
