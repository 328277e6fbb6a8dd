import type { Routing } from './model/spec.ts';

/** How networks are chosen; the bias with its values. */
export type ChoiceRules = Pick<Routing, 'gating' | 'used' | 'normalised' | 'scale'> & {
  readonly choiceBias: Float32Array | null;
};

/** The networks of a row, the best first, and the weight of what each gives. */
export interface Choice {
  readonly networks: Uint32Array;
  readonly weights: Float32Array;
}

/** The least that weights are divided by, as llama.cpp has it: the smallest normal f16. */
const LEAST_SUM = 2 ** -14;

/** Chooses the networks of rows. It keeps its buffers, as it is asked for every row and layer. */
export class ExpertChooser {
  readonly #rules: ChoiceRules;
  /** By network. */
  readonly #gated: Float64Array;
  /** Of those that are chosen: what they are chosen by, then their gates. */
  readonly #values: Float64Array;
  readonly #choice: Choice;

  /** @param experts how many networks there are, at least as many as are used */
  constructor(rules: ChoiceRules, experts: number) {
    this.#rules = rules;
    this.#gated = new Float64Array(experts);
    this.#values = new Float64Array(rules.used);
    this.#choice = { networks: new Uint32Array(rules.used), weights: new Float32Array(rules.used) };
  }

  /**
   * The best networks; of equal ones the first. Weights are softmax(scores) (Shazeer et al. 2017), sigmoids
   * (DeepSeek-V3, §2.1.2), or the softmax of those that were chosen (gpt-oss).
   * @param scores what the router gives, one a network
   * @returns valid until the next call
   */
  choose(scores: Float32Array): Choice {
    const { gating, normalised, scale, choiceBias } = this.#rules;
    const gated = this.#gated;
    const values = this.#values;
    const { networks, weights } = this.#choice;
    gated.set(scores);
    if (gating === 'softmax') softmax(gated);
    else if (gating === 'sigmoid') for (let i = 0; i < gated.length; i++) gated[i] = sigmoid(gated[i]!);
    findBest(gated, choiceBias, networks, values);
    for (let i = 0; i < values.length; i++) values[i] = gated[networks[i]!]!;
    if (gating === 'softmax-of-chosen') softmax(values);
    const sum = normalised ? Math.max(LEAST_SUM, sumOf(values)) : 1;
    for (let i = 0; i < values.length; i++) weights[i] = (values[i]! / sum) * scale;
    return this.#choice;
  }
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * Writes the places of the largest of values + bias, the largest first, of equal ones the first; and how large they
 * are.
 */
function findBest(values: Float64Array, bias: Float32Array | null, places: Uint32Array, largest: Float64Array): void {
  let found = 0;
  for (let i = 0; i < values.length; i++) {
    const value = bias === null ? values[i]! : values[i]! + bias[i]!;
    const isFull = found === places.length;
    if (isFull && !(value > largest[found - 1]!)) continue;
    // Takes the place of the least once there are enough, and passes those that are less.
    let at = isFull ? found - 1 : found++;
    for (; at > 0 && value > largest[at - 1]!; at--) {
      largest[at] = largest[at - 1]!;
      places[at] = places[at - 1]!;
    }
    largest[at] = value;
    places[at] = i;
  }
}

function sumOf(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}

/** values = e^values / Σ e^values */
function softmax(values: Float64Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]!);
  for (let i = 0; i < values.length; i++) values[i] = Math.exp(values[i]! - most);
  const sum = sumOf(values);
  for (let i = 0; i < values.length; i++) values[i] = values[i]! / sum;
}
