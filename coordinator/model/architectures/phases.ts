import type { ModelSource } from '../model-source.ts';
import type { AttentionPhase, FeedForwardPhase } from '../spec.ts';
import type { Sizes } from './sizes.ts';

const nameIn = (layer: number) => (part: string) => `blk.${layer}.${part}.weight`;

/** Attention as the tensors of a layer give it. @throws StarlingError model_invalid, model_unsupported_tensor_type */
export function attentionPhase({ tensors }: ModelSource, layer: number, sizes: Sizes): AttentionPhase {
  const name = nameIn(layer);
  const { dim, heads, kvHeads, headDim } = sizes;
  return {
    kind: 'attention',
    inputNorm: { tensor: tensors.vector(name('attn_norm'), dim), halves: null },
    heads,
    kvHeads,
    headDim,
    scale: Math.fround(1 / Math.sqrt(headDim)),
    ropes: [0, 0],
    q: tensors.matrix(name('attn_q'), heads * headDim, dim),
    k: tensors.matrix(name('attn_k'), kvHeads * headDim, dim),
    v: tensors.matrix(name('attn_v'), kvHeads * headDim, dim),
    o: tensors.matrix(name('attn_output'), dim, heads * headDim),
  };
}

/** A feed-forward network as the tensors of a layer give it. @throws StarlingError model_invalid, model_unsupported_tensor_type */
export function feedForwardPhase({ tensors }: ModelSource, layer: number, { dim, ffDim }: Sizes): FeedForwardPhase {
  const name = nameIn(layer);
  return {
    kind: 'ffn',
    inputNorm: { tensor: tensors.vector(name('ffn_norm'), dim), halves: null },
    gate: tensors.matrix(name('ffn_gate'), ffDim, dim),
    up: tensors.matrix(name('ffn_up'), ffDim, dim),
    down: tensors.matrix(name('ffn_down'), dim, ffDim),
  };
}
