/**
 * The tensors that layers of all architectures are made of, with weights that keep activations of size one and
 * attention sharp: scores with a standard deviation of SCORES, so that a few positions, other ones for each row, make
 * up the result.
 */
import type { ModelShape } from '../model-shapes.ts';

/** A model's sizes and the factors that its architecture multiplies by. */
export interface ArchitectureShape extends ModelShape {
  /** Leading dimensions of a head that are rotated. */
  readonly ropeDims: number;
  /** What the scores of attention are multiplied by. */
  readonly attentionScale: number;
  /** What embeddings are multiplied by. */
  readonly embeddingScale: number;
  /** What each block's result is multiplied by before it is added. */
  readonly residualScale: number;
  /** How large logits are made, for the model to divide or cap them. */
  readonly logitGain: number;
}

/** One tensor: a matrix of the file's type, or f32 values around a mean. */
export interface Part {
  /** In a layer: what comes after "blk.N.". */
  readonly name: string;
  /** ggml order: columns first. */
  readonly dims: readonly number[];
  readonly values:
    | { readonly kind: 'matrix'; readonly deviation: number }
    | { readonly kind: 'floats'; readonly mean: number; readonly deviation: number }
    | { readonly kind: 'given'; readonly list: Float32Array };
  /** Its size is that of what a block adds. */
  readonly adds?: boolean;
}

const SCORES = 1.5;

/** Size of what attention makes of values of size one, and a gated network of inputs of size one. */
const [ATTENDED, GATED] = [0.4, 0.8];

export const norm = (name: string, size: number, mean = 1): Part => ({
  name: `${name}.weight`,
  dims: [size],
  values: { kind: 'floats', mean, deviation: mean / 4 },
});

export const bias = (name: string, dims: readonly number[], deviation = 0.3): Part => ({
  name: `${name}.bias`,
  dims,
  values: { kind: 'floats', mean: 0, deviation },
});

/** Rows of the given length for inputs of size one. */
export const matrix = (name: string, dims: readonly number[], gain = 1): Part => ({
  name: `${name}.weight`,
  dims,
  values: { kind: 'matrix', deviation: gain / Math.sqrt(dims[0] ?? 1) },
});

/** The last tensor of a block. */
export const adding = (part: Part): Part => ({ ...part, adds: true });

/** Routers stay f32 in quantised files. */
const router = (name: string, dims: readonly number[], gain: number): Part => ({
  name: `${name}.weight`,
  dims,
  values: { kind: 'floats', mean: 0, deviation: gain / Math.sqrt(dims[0] ?? 1) },
});

export interface AttentionOptions {
  readonly biases?: readonly (keyof typeof BIASES)[];
  /** Queries and keys are normalised: each head by itself, or all heads as one vector. */
  readonly norms?: 'head' | 'all';
  /** Queries, keys and values are one matrix. */
  readonly fused?: boolean;
  /** A score for each head that no value belongs to. */
  readonly sinks?: boolean;
}

/** Keys share theirs: what it adds to scores differs by distance alone. */
const BIASES = { attn_q: 0.4, attn_k: 0.8, attn_v: 0.1, attn_output: 0.3 } as const;

export function attention(shape: ArchitectureShape, options: AttentionOptions = {}): Part[] {
  const { dim, heads, kvHeads, headDim } = shape;
  const { biases = [], norms, fused = false, sinks = false } = options;
  const [qRows, kvRows] = [heads * headDim, kvHeads * headDim];
  const sharp = Math.sqrt(SCORES / (Math.sqrt(headDim) * shape.attentionScale));
  const gain = norms === undefined ? sharp : 1;
  const parts = fused
    ? [matrix('attn_qkv', [dim, qRows + 2 * kvRows], gain)]
    : [matrix('attn_q', [dim, qRows], gain), matrix('attn_k', [dim, kvRows], gain), matrix('attn_v', [dim, kvRows])];
  const rows = { attn_q: qRows, attn_k: kvRows, attn_v: kvRows, attn_output: dim };
  parts.push(...biases.map((name) => ({ ...bias(name, [rows[name]], BIASES[name]), adds: name === 'attn_output' })));
  if (norms !== undefined) {
    parts.push(norm('attn_q_norm', norms === 'head' ? headDim : qRows, sharp));
    parts.push(norm('attn_k_norm', norms === 'head' ? headDim : kvRows, sharp));
  }
  if (sinks)
    parts.push({ name: 'attn_sinks.weight', dims: [heads], values: { kind: 'floats', mean: 5, deviation: 1 } });
  parts.push(adding(matrix('attn_output', [qRows, dim], 1 / ATTENDED / shape.residualScale)));
  return parts;
}

/** A gated feed-forward network. @param fused gate and up are one matrix, in this order */
export function dense(shape: ArchitectureShape, fused = false): Part[] {
  const { dim, ffDim, residualScale } = shape;
  const gates = fused ? [matrix('ffn_up', [dim, 2 * ffDim], 1.5)] : gated('ffn', '', [dim, ffDim]);
  return [...gates, adding(matrix('ffn_down', [ffDim, dim], 1 / GATED / residualScale))];
}

const gated = (name: string, suffix: string, dims: readonly number[]): Part[] => [
  matrix(`${name}_gate${suffix}`, dims, 1.5),
  matrix(`${name}_up${suffix}`, dims),
];

export interface ExpertOptions {
  readonly count: number;
  /** Inner width of an expert. */
  readonly ffDim: number;
  /** Inner width of the expert that all rows take. */
  readonly sharedFfDim?: number;
  /** That expert is weighed by a gate of its own. */
  readonly sharedGate?: boolean;
  /** The router and the experts' matrices have biases. */
  readonly biases?: boolean;
  /** A bias of the scores by which experts are chosen, not weighed. */
  readonly choiceBias?: boolean;
  /** Of the gates and ups, in place of 1.5 and 1: where large values are clamped. */
  readonly gain?: number;
}

export function experts(shape: ArchitectureShape, options: ExpertOptions): Part[] {
  const { dim, residualScale } = shape;
  const { count, ffDim, sharedFfDim, gain } = options;
  const parts = [router('ffn_gate_inp', [dim, count], 3)];
  if (options.biases) parts.push(bias('ffn_gate_inp', [count], 1));
  if (options.choiceBias) parts.push(bias('exp_probs_b', [count], 0.3));
  for (const name of ['gate', 'up'] as const) {
    parts.push(matrix(`ffn_${name}_exps`, [dim, ffDim, count], gain ?? (name === 'gate' ? 1.5 : 1)));
    if (options.biases) parts.push(bias(`ffn_${name}_exps`, [ffDim, count], gain));
  }
  parts.push(adding(matrix('ffn_down_exps', [ffDim, dim, count], 0.8 / GATED / residualScale / (gain ?? 1) ** 2)));
  if (options.biases) parts.push(adding(bias('ffn_down_exps', [dim, count])));
  if (sharedFfDim === undefined) return parts;
  if (options.sharedGate) parts.push(router('ffn_gate_inp_shexp', [dim], 1));
  parts.push(...gated('ffn', '_shexp', [dim, sharedFfDim]));
  parts.push(adding(matrix('ffn_down_shexp', [sharedFfDim, dim], 1 / GATED / residualScale)));
  return parts;
}
