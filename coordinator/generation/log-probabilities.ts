import { argmax, selectTop } from './top-selection.ts';

/** A token and the natural logarithm of its probability. */
export interface TokenLogProbability {
  readonly token: number;
  readonly logprob: number;
}

/** The chosen token's log probability and those of the likeliest tokens, likeliest first. */
export interface LogProbabilities extends TokenLogProbability {
  readonly top: readonly TokenLogProbability[];
}

/** Stands for a probability of zero, which JSON has no number for; OpenAI's API uses the same value. */
const IMPOSSIBLE = -9999;

/**
 * Log probabilities under the model's own distribution, before temperature, bias, penalties and filters:
 * `logit - max - ln Σ exp(logit - max)`. NaN counts as impossible.
 * @param logits f32, one per token of the vocabulary
 * @param token the token that was chosen
 * @param top how many of the likeliest tokens to list
 */
export function logprobs(logits: Float32Array, token: number, top: number): LogProbabilities {
  const best = argmax(logits);
  const max = best < 0 ? 0 : logits[best]!;
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const value = logits[id] === max ? 1 : Math.exp(logits[id]! - max);
    if (value > 0) total += value;
  }
  const logTotal = Math.log(total);
  const of = (id: number): TokenLogProbability => {
    const logit = logits[id] ?? Number.NaN;
    const logprob = (logit === max ? 0 : logit - max) - logTotal;
    return { token: id, logprob: Number.isNaN(logprob) ? IMPOSSIBLE : Math.max(logprob, IMPOSSIBLE) };
  };
  return { ...of(token), top: Array.from(selectTop(logits, top), of) };
}
