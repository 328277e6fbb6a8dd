import type { Routing } from './model/spec.ts';

/** How networks are chosen; the bias with its values. */
export type ChoiceRules = Pick<Routing, 'gating' | 'used' | 'normalised' | 'scale'> & {
  readonly choiceBias: Float32Array | null;
};

/** A network and the weight of what it gives. */
export interface Choice {
  readonly network: number;
  readonly weight: number;
}

/** The least that weights are divided by, as llama.cpp has it: the smallest normal f16. */
const LEAST_SUM = 2 ** -14;

/**
 * Chooses the networks of a row, the best first; of equal ones the first. Weights are softmax(scores) (Shazeer et al. 2017), sigmoids
 * (DeepSeek-V3, §2.1.2), or the softmax of those that were chosen (gpt-oss).
 * @param scores what the router gives, one a network
 */
export function chooseExperts(
  scores: Float32Array,
  { gating, used, normalised, scale, choiceBias }: ChoiceRules,
): Choice[] {
  const gated = gate(scores, gating);
  const chosen = best(choiceBias === null ? gated : gated.map((value, network) => value + choiceBias[network]!), used);
  const values = chosen.map((network) => gated[network]!);
  const weights = gating === 'softmax-of-chosen' ? softmax(Float64Array.from(values)) : Float64Array.from(values);
  const sum = normalised
    ? Math.max(
        LEAST_SUM,
        weights.reduce((a, b) => a + b, 0),
      )
    : 1;
  return chosen.map((network, i) => ({ network, weight: Math.fround((weights[i]! / sum) * scale) }));
}

/** The places of the largest values, the largest first; of equal ones the first. */
function best(values: Float64Array, count: number): number[] {
  const chosen: number[] = [];
  while (chosen.length < count) {
    let found = -1;
    for (let i = 0; i < values.length; i++) {
      if ((found < 0 || values[i]! > values[found]!) && !chosen.includes(i)) found = i;
    }
    chosen.push(found);
  }
  return chosen;
}

function gate(scores: Float32Array, gating: Routing['gating']): Float64Array {
  if (gating === 'softmax') return softmax(Float64Array.from(scores));
  return Float64Array.from(scores, gating === 'sigmoid' ? sigmoid : (score) => score);
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

function softmax(scores: Float64Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
