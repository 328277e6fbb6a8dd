import { exponential } from './exponential.ts';

const BUCKETS = 2048;
/** Logits further below the maximum than this share the last bucket: e^-32 is beyond what a nucleus can turn on. */
const DEPTH = 32;

/** exp((logit - max) / temperature); 0 for NaN; an infinite maximum leaves only its equals. */
export function weight(logit: number, max: number, temperature: number): number {
  return logit === max ? 1 : exponential((logit - max) / temperature);
}

function bucketOf(logit: number, max: number): number {
  return logit === max ? 0 : Math.min(BUCKETS - 1, Math.floor((max - logit) * (BUCKETS / DEPTH)));
}

/**
 * How many of `candidates` (likeliest first) it takes for their weights to reach `target`; all when they do not.
 * @param target in units of the likeliest token's probability under `max`
 */
export function countToReach(logits: Float32Array, candidates: ArrayLike<number>, max: number, target: number): number {
  let sum = 0;
  for (let i = 0; i < candidates.length; i++) {
    sum += weight(logits[candidates[i]!]!, max, 1);
    if (sum >= target) return i + 1;
  }
  return candidates.length;
}

/**
 * The nucleus (top-p set) of a whole vocabulary: the fewest likeliest tokens whose probabilities reach `topP`, the
 * lower id first among equals. The vocabulary is not sorted: the probability is summed by ranges of logits, and only
 * the range in which the sum is reached has to be.
 * @param logits f32, one per token
 * @param max the largest of them
 * @returns ids in ascending order
 */
export function nucleus(logits: Float32Array, max: number, topP: number): Int32Array {
  const masses = new Float64Array(BUCKETS);
  // One more than there are buckets stands for what is impossible.
  const buckets = new Uint16Array(logits.length).fill(BUCKETS);
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const value = weight(logits[id]!, max, 1);
    if (value === 0) continue;
    const bucket = bucketOf(logits[id]!, max);
    buckets[id] = bucket;
    masses[bucket]! += value;
    total += value;
  }
  const target = topP * total;
  let before = 0;
  let boundary = 0;
  while (boundary < BUCKETS - 1 && before + masses[boundary]! < target) before += masses[boundary++]!;

  const kept: number[] = [];
  const candidates: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const bucket = buckets[id]!;
    if (bucket < boundary) kept.push(id);
    else if (bucket === boundary) candidates.push(id);
  }
  candidates.sort((a, b) => (logits[a] === logits[b] ? a - b : logits[b]! - logits[a]!));
  const count = countToReach(logits, candidates, max, target - before);
  return Int32Array.from([...kept, ...candidates.slice(0, count)]).sort();
}
