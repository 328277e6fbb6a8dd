/** Small models of the architectures that are mixtures of experts; see dense-models.ts. */
import type { ArchitectureModel } from './architecture-model.ts';
import { float, GRANITE, GRANITE_KEYS, integer, shapeOf, YARN } from './dense-models.ts';
import {
  type ArchitectureShape,
  type AttentionOptions,
  attention,
  dense,
  type ExpertOptions,
  experts,
  matrix,
  norm,
} from './parts.ts';

const mixture = (shape: ArchitectureShape, heads: AttentionOptions, options: ExpertOptions) => () => [
  norm('attn_norm', shape.dim),
  ...attention(shape, heads),
  norm('ffn_norm', shape.dim),
  ...experts(shape, options),
];

function mixtral(): ArchitectureModel {
  const shape = shapeOf({ headDim: 48, ffDim: 192, ropeBase: 1e6 });
  const keys = { expert_count: integer(8), expert_used_count: integer(2) };
  const layer = mixture(shape, {}, { count: 8, ffDim: shape.ffDim });
  return { name: 'mixtral', architecture: 'llama', type: 'Q4_K', shape, keys, layer };
}

/** The chosen experts' weights are not made to sum to one. */
function qwen2moe(): ArchitectureModel {
  const shape = shapeOf({ ropeBase: 1e6 });
  const keys = {
    expert_count: integer(12),
    expert_used_count: integer(3),
    expert_feed_forward_length: integer(128),
    expert_shared_feed_forward_length: integer(320),
  };
  const options = { count: 12, ffDim: 128, sharedFfDim: 320, sharedGate: true };
  const layer = mixture(shape, { biases: ['attn_q', 'attn_k', 'attn_v'] }, options);
  return { name: 'qwen2moe', architecture: 'qwen2moe', type: 'Q4_K', shape, keys, layer };
}

const qwen3moe = (): ArchitectureModel =>
  qwen3MoeOf(shapeOf({ headDim: 64, ropeBase: 1e6 }), { count: 12, used: 3, ffDim: 128 });

/** A mixture as Qwen 3 has them, of any size. */
export function qwen3MoeOf(
  shape: ArchitectureShape,
  { count, used, ffDim }: { readonly count: number; readonly used: number; readonly ffDim: number },
): ArchitectureModel {
  const keys = {
    expert_count: integer(count),
    expert_used_count: integer(used),
    expert_feed_forward_length: integer(ffDim),
  };
  const layer = mixture(shape, { norms: 'head' }, { count, ffDim });
  return { name: 'qwen3moe', architecture: 'qwen3moe', type: 'Q4_K', shape, keys, layer };
}

/** A width that is no multiple of 256, as the real one's; every other layer, from the first on, has the window. */
function gptOss(): ArchitectureModel {
  const shape = shapeOf({ dim: 288, headDim: 64, ropeBase: 150_000 });
  const keys = {
    ...YARN,
    'attention.sliding_window': integer(24),
    expert_count: integer(8),
    expert_used_count: integer(2),
    expert_feed_forward_length: integer(160),
  };
  const layer = () => [
    norm('attn_norm', shape.dim),
    ...attention(shape, { biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output'], sinks: true }),
    norm('post_attention_norm', shape.dim),
    ...experts(shape, { count: 8, ffDim: 160, biases: true, gain: 4 }),
  ];
  return { name: 'gpt-oss', architecture: 'gpt-oss', type: 'MXFP4', shape, keys, layer };
}

/** A dense layer first, and behind the last one a layer that predicts further tokens, for which no one asks. */
function glm4moe(): ArchitectureModel {
  const shape = shapeOf({ layers: 5, heads: 4, headDim: 64, ropeDims: 32 });
  const { dim, layers } = shape;
  const keys = {
    expert_count: integer(6),
    expert_used_count: integer(2),
    expert_feed_forward_length: integer(128),
    expert_shared_count: integer(1),
    expert_gating_func: integer(2),
    expert_weights_norm: { type: 'bool', value: true },
    expert_weights_scale: float(1.5),
    leading_dense_block_count: integer(1),
    nextn_predict_layers: integer(1),
  } as const;
  const block = attention(shape, { biases: ['attn_q', 'attn_k', 'attn_v'], norms: 'head' });
  const mixed = experts(shape, { count: 6, ffDim: 128, sharedFfDim: 128, choiceBias: true });
  const ahead = [
    matrix('nextn.eh_proj', [2 * dim, dim]),
    norm('nextn.enorm', dim),
    norm('nextn.hnorm', dim),
    norm('nextn.shared_head_norm', dim),
  ];
  const layer = (index: number) => [
    norm('attn_norm', dim),
    ...block,
    norm('post_attention_norm', dim),
    ...(index === 0 ? dense(shape) : mixed),
    ...(index === layers - 1 ? ahead : []),
  ];
  return { name: 'glm4moe', architecture: 'glm4moe', type: 'Q4_0', shape, keys, layer, unused: ['nextn.'] };
}

function graniteMoe(): ArchitectureModel {
  const shape = shapeOf({ ...GRANITE, tied: true, ffDim: 192 });
  const keys = {
    ...GRANITE_KEYS,
    expert_count: integer(6),
    expert_used_count: integer(2),
    expert_shared_feed_forward_length: integer(320),
  };
  const layer = mixture(shape, {}, { count: 6, ffDim: shape.ffDim, sharedFfDim: 320 });
  return { name: 'granitemoe', architecture: 'granitemoe', type: 'Q4_K', shape, keys, layer };
}

export const EXPERT_MODELS: readonly ArchitectureModel[] = [
  mixtral(),
  qwen2moe(),
  qwen3moe(),
  gptOss(),
  glm4moe(),
  graniteMoe(),
];
