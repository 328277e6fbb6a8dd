import type { ActivationFunction } from '../../../kernels/formats.ts';
import type { ModelSource } from '../model-source.ts';
import type { AttentionPhase, FeedForwardPhase, Halves, NormsPhase, PhaseFrame, Projection, Vector } from '../spec.ts';
import type { Sizes } from './sizes.ts';

/** What tensors of a layer do not tell of its phases. Names of norms are parts of tensor names; null for none. */
export interface FrameOptions {
  readonly inputNorm?: string | null;
  readonly outputNorm?: string | null;
  readonly outputScale?: number;
}

export interface AttentionOptions extends FrameOptions {
  /** Whether rotary pairs are stored as halves of a head's first `dims` rows (as in NeoX), or side by side. */
  readonly halves?: { readonly dims: number };
  /** Whether queries and keys are normed: each head by itself, or all together. */
  readonly normed?: AttentionPhase['normed'];
  /** Of scores, where it is not 1/√headDim. */
  readonly scale?: number;
  readonly softCap?: number;
  readonly window?: number;
  readonly sinks?: boolean;
  readonly ropes?: readonly [keys: number, queries: number];
}

export interface FeedForwardOptions extends FrameOptions {
  readonly activation?: ActivationFunction;
  /** Whether gate and up are one tensor, gate first. */
  readonly fusedGate?: boolean;
}

/** Attention as the tensors of a layer give it. @throws StarlingError model_invalid, model_unsupported_tensor_type */
export function attentionPhase(
  source: ModelSource,
  layer: number,
  sizes: Sizes,
  options: AttentionOptions = {},
): AttentionPhase {
  const { tensors } = source;
  const { dim, heads, kvHeads, headDim } = sizes;
  const halves = options.halves === undefined ? null : { headDim, dims: options.halves.dims };
  const rows = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
  const isFused = tensors.has(weight(layer, 'attn_qkv'));
  const [q, k, v] = (
    isFused
      ? fused(source, layer, 'attn_qkv', rows, dim)
      : ['attn_q', 'attn_k', 'attn_v'].map((part, i) => projection(source, layer, part, rows[i]!, dim))
  ) as [Projection, Projection, Projection];
  allOrNone(source, [q, k, v]);
  const { normed = 'none' } = options;
  const norm = (part: string, ofAll: number): Vector | null => {
    if (normed === 'none') return null;
    return { ...tensors.whole(weight(layer, part), (normed === 'all' ? ofAll : 1) * headDim), halves };
  };
  return {
    kind: 'attention',
    ...frame(source, layer, dim, { inputNorm: 'attn_norm', ...options }, 'attn_output'),
    ...{ heads, kvHeads, headDim },
    scale: Math.fround(options.scale ?? 1 / Math.sqrt(headDim)),
    softCap: options.softCap ?? 0,
    window: options.window ?? 0,
    ropes: options.ropes ?? [0, 0],
    q: turned(q, halves),
    k: turned(k, halves),
    v,
    o: tensors.matrix(weight(layer, 'attn_output'), dim, heads * headDim),
    normed,
    qNorm: norm('attn_q_norm', heads),
    kNorm: norm('attn_k_norm', kvHeads),
    sinks: options.sinks === true ? tensors.whole(weight(layer, 'attn_sinks'), heads) : null,
  };
}

/** The phase before attention whose queries and keys are normed over all heads. */
export const normsOf = (of: AttentionPhase): NormsPhase => ({
  ...{ kind: 'norms', of, inputNorm: of.inputNorm },
  ...{ outputNorm: null, outputBias: null, outputScale: 1 },
});

/**
 * A feed-forward network as the tensors of a layer give it.
 * @throws StarlingError model_invalid, model_unsupported_tensor_type
 */
export function feedForwardPhase(
  source: ModelSource,
  layer: number,
  { dim, ffDim }: Sizes,
  options: FeedForwardOptions = {},
): FeedForwardPhase {
  const { tensors } = source;
  const [gate, up] = (
    options.fusedGate === true
      ? fused(source, layer, 'ffn_up', [ffDim, ffDim], dim)
      : ['ffn_gate', 'ffn_up'].map((part) => projection(source, layer, part, ffDim, dim))
  ) as [Projection, Projection];
  allOrNone(source, [gate, up]);
  return {
    kind: 'ffn',
    ...frame(source, layer, dim, { inputNorm: 'ffn_norm', ...options }, 'ffn_down'),
    gate,
    up,
    down: tensors.matrix(weight(layer, 'ffn_down'), dim, ffDim),
    activation: options.activation ?? 'silu',
  };
}

/** The name of a part's tensor. */
export const weight = (layer: number, part: string): string => `blk.${layer}.${part}.weight`;
export const bias = (layer: number, part: string): string => `blk.${layer}.${part}.bias`;

/** A matrix, and its bias where the file has one. */
export function projection(
  { tensors }: ModelSource,
  layer: number,
  part: string,
  rows: number,
  cols: number,
): Projection {
  const name = bias(layer, part);
  return {
    weight: tensors.matrix(weight(layer, part), rows, cols),
    bias: tensors.has(name) ? tensors.whole(name, rows) : null,
  };
}

/** Matrices that stand one below the other in one tensor, and their biases in another. @param rows of each */
function fused(source: ModelSource, layer: number, part: string, rows: readonly number[], cols: number): Projection[] {
  const total = rows.reduce((sum, count) => sum + count, 0);
  const { weight: all, bias: biases } = projection(source, layer, part, total, cols);
  let end = 0;
  return rows.map((count) => {
    const first = end;
    end += count;
    return {
      weight: { ...all, firstRow: first, rows: count },
      bias: biases === null ? null : { ...biases, first, length: count },
    };
  });
}

/** @throws StarlingError model_invalid where only some have biases */
export function allOrNone({ tensors }: ModelSource, projections: readonly Projection[]): void {
  const alone = projections.find(({ bias }) => bias !== null)?.bias;
  if (alone !== undefined && alone !== null && projections.some(({ bias }) => bias === null))
    throw tensors.invalid(`${alone.tensor.name} comes without the biases that go with it, which is not supported`);
}

const turned = ({ weight, bias }: Projection, halves: Halves | null): Projection => ({
  weight: { ...weight, halves },
  bias: bias === null ? null : { ...bias, halves },
});

/**
 * What is around a phase's products.
 * @param last the part whose bias is added to the sums; null where that is none of them
 */
export function frame(
  { tensors }: ModelSource,
  layer: number,
  dim: number,
  { inputNorm = null, outputNorm = null, outputScale = 1 }: FrameOptions,
  last: string | null,
): PhaseFrame {
  const norm = (part: string | null): Vector | null => (part === null ? null : tensors.whole(weight(layer, part), dim));
  const name = last === null ? null : bias(layer, last);
  return {
    inputNorm: norm(inputNorm),
    outputNorm: norm(outputNorm),
    outputBias: name !== null && tensors.has(name) ? tensors.whole(name, dim) : null,
    outputScale,
  };
}
