import { StarlingError } from '../../daemon/errors.ts';
import { counterRandom } from './counter-random.ts';
import { exponential } from './exponential.ts';
import { countToReach, nucleus, weight } from './nucleus.ts';
import { argmax, selectTop } from './top-selection.ts';

/**
 * Makes tokens that are there already less likely: a logit above zero is divided by the factor, another multiplied with
 * it.
 */
export interface RepetitionPenalty {
  /** Above 0; 1 changes nothing. */
  readonly factor: number;
  /** How many of the last tokens of prompt and text count. */
  readonly reach: number;
}

/** Goes up with whatever changes which token is drawn from the same logits by the same options at the same place. */
export const SAMPLER_VERSION = 1;

/** How a token is drawn from logits. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; 1 leaves the distribution as the model gives it. */
  readonly temperature: number;
  /** Keep this many of the likeliest tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the likeliest tokens until their probabilities reach this sum; 1 keeps all. */
  readonly topP: number;
  /** Drop tokens less likely than this share of the likeliest; 0 keeps all. */
  readonly minP: number;
  /** Any integer; its low 64 bits count. */
  readonly seed: number | bigint;
  /** Taken from a token's logit for each time that it has been generated. */
  readonly frequencyPenalty: number;
  /** Taken from a token's logit once it has been generated. */
  readonly presencePenalty: number;
  /** None by default. */
  readonly repetition?: RepetitionPenalty | null;
  /** Added to the logits of these token ids; ids outside the vocabulary do nothing. */
  readonly logitBias: ReadonlyMap<number, number>;
}

/** Always the likeliest token. */
export const GREEDY: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: new Map(),
};

/** Tokens that are drawn less likely, or never. */
export interface HeldBack {
  /** Those that a repetition penalty meets, once each. */
  readonly repeated: ReadonlySet<number>;
  readonly forbidden: readonly number[];
  /** All others are forbidden: token t is bit t mod 32 of word t div 32. Null for no such limit. */
  readonly allowed: Uint32Array | null;
}

export const NONE_HELD_BACK: HeldBack = { repeated: new Set(), forbidden: [], allowed: null };
const NO_TOKENS: ReadonlyMap<number, number> = new Map();

/** The logits with bias and penalties applied; the same array when there is nothing to apply. */
function adjusted(
  logits: Float32Array,
  options: SamplingOptions,
  generated: ReadonlyMap<number, number>,
  { repeated, forbidden, allowed }: HeldBack,
): Float32Array {
  const penalised = generated.size > 0 && (options.frequencyPenalty !== 0 || options.presencePenalty !== 0);
  const factor = options.repetition?.factor ?? 1;
  const isRepeated = factor !== 1 && repeated.size > 0;
  const isLimited = forbidden.length > 0 || allowed !== null;
  if (!penalised && !isRepeated && options.logitBias.size === 0 && !isLimited) return logits;
  const result = allowed === null ? logits.slice() : onlyAllowed(logits, allowed);
  for (const [token, bias] of options.logitBias) {
    if (token >= 0 && token < result.length) result[token]! += bias;
  }
  if (isRepeated) {
    for (const token of repeated) {
      const value = result[token];
      if (value !== undefined) result[token] = value > 0 ? value / factor : value * factor;
    }
  }
  if (penalised) {
    for (const [token, count] of generated) {
      if (token < 0 || token >= result.length || count <= 0) continue;
      result[token]! -= count * options.frequencyPenalty + options.presencePenalty;
    }
  }
  for (const token of forbidden) if (token < result.length) result[token] = Number.NEGATIVE_INFINITY;
  return result;
}

/** The logits of these tokens; those of all others are impossible. */
function onlyAllowed(logits: Float32Array, allowed: Uint32Array): Float32Array {
  const result = new Float32Array(logits.length).fill(Number.NEGATIVE_INFINITY);
  for (let word = 0; word < allowed.length; word++) {
    const from = word * 32;
    if (allowed[word] === 0xffffffff) result.set(logits.subarray(from, from + 32), from);
    else for (let bits = allowed[word]!, i = from; bits !== 0; bits >>>= 1, i++) if (bits & 1) result[i] = logits[i]!;
  }
  return result;
}

/**
 * The ids that top-k and top-p leave, in ascending order; null stands for the whole vocabulary.
 * @param top what top-k leaves; null where that is everything
 */
function keptIds(
  logits: Float32Array,
  top: Int32Array | null,
  max: number,
  options: SamplingOptions,
): Int32Array | null {
  if (top === null) return options.topP >= 1 ? null : nucleus(logits, max, options.topP);
  let kept = top;
  if (options.topP < 1) {
    let total = 0;
    for (const id of kept) total += weight(logits[id]!, max, 1);
    kept = kept.slice(0, countToReach(logits, kept, max, options.topP * total));
  }
  return kept.sort();
}

/**
 * Draws the next token. Pure: the same arguments give the same token.
 *
 * The steps and their order are llama.cpp's: bias and penalties, top-k, top-p, min-p, then temperature; so top-p and
 * min-p look at the distribution before the temperature. Penalties are OpenAI's:
 * `logit -= count·frequency + (count > 0)·presence`, after the one for repetition. NaN counts as impossible.
 * The draw walks the kept tokens in the order of their ids, so no sorting can change which token a random number means.
 *
 * @param logits f32, one per token of the vocabulary; not changed
 * @param position place in the sequence that the token will take: keys the random number together with the seed
 * @param generated how often each token has been generated so far, for the penalties
 * @returns a token id
 * @throws StarlingError numeric_overflow when no token has a usable logit
 */
export function sample(
  logits: Float32Array,
  options: SamplingOptions,
  position: number,
  generated: ReadonlyMap<number, number> = NO_TOKENS,
  heldBack: HeldBack = NONE_HELD_BACK,
): number {
  const values = adjusted(logits, options, generated, heldBack);
  const byCount = options.temperature > 0 && options.topK > 0 && options.topK < values.length;
  const top = byCount ? selectTop(values, options.topK) : null;
  const best = top === null ? argmax(values) : (top[0] ?? -1);
  if (best < 0) {
    throw new StarlingError(
      'numeric_overflow',
      `none of the ${logits.length} logits at position ${position} is a number; the model file or a device is faulty`,
    );
  }
  if (options.temperature <= 0) return best;

  const max = values[best]!;
  const ids = keptIds(values, top, max, options);
  // Of their own, one after the other: shared memory, where logits come from, is slow to read value by value.
  const kept = new Float32Array(ids ?? values);
  if (ids !== null) for (let i = 0; i < ids.length; i++) kept[i] = values[ids[i]!]!;
  const floor = options.minP > 0 ? max + Math.log(options.minP) : Number.NEGATIVE_INFINITY;
  const weights = weightsOf(kept, max, floor, options.temperature);
  const chosen = drawIndex(weights, counterRandom(options.seed, position));
  if (chosen < 0) return best;
  return ids === null ? chosen : ids[chosen]!;
}

function weightsOf(logits: Float32Array, max: number, floor: number, temperature: number): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit >= floor) weights[i] = logit === max ? 1 : exponential((logit - max) / temperature);
  }
  return weights;
}

/** Which of the weights a random number in [0, 1) means; -1 when all are zero. */
function drawIndex(weights: Float64Array, random: number): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i]!;
  const target = random * total;
  let sum = 0;
  let chosen = -1;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    // Rounding may leave the target at the total: then the last possible token is meant.
    chosen = i;
    sum += weights[i]!;
    if (sum > target) break;
  }
  return chosen;
}
