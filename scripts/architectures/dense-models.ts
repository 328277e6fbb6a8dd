/**
 * Small models of the architectures without experts. What is on in each is what real files of it have; windows, trained
 * contexts and caps are as small as it takes for a text of some hundred tokens to meet them.
 */
import type { GgufMetadata } from '../gguf-writer.ts';
import { llama3RopeFactors } from '../model-shapes.ts';
import type { ArchitectureModel } from './architecture-model.ts';
import { CONTEXT } from './golden.ts';
import { type ArchitectureShape, adding, attention, dense, norm, type Part } from './parts.ts';

/** Feed-forward networks of a width that is no multiple of 256: their last matrix gets smaller blocks in Q4_K. */
const BASE = {
  layers: 4,
  dim: 256,
  heads: 8,
  kvHeads: 2,
  ffDim: 672,
  vocabSize: 512,
  contextLength: 4096,
  // Large enough to be missed.
  rmsEps: 0.1,
  ropeBase: 10_000,
  ropeFactor: null,
  tied: false,
  embeddingScale: 1,
  residualScale: 1,
  logitGain: 1,
} as const;

/** A shape that differs from BASE; rotation and scale of scores follow from the length of a head unless given. */
export function shapeOf(differences: Partial<ArchitectureShape>): ArchitectureShape {
  const headDim = differences.headDim ?? BASE.dim / BASE.heads;
  return { ...BASE, headDim, ropeDims: headDim, attentionScale: 1 / Math.sqrt(headDim), ...differences };
}

export const float = (value: number) => ({ type: 'float32', value }) as const;
export const integer = (value: number) => ({ type: 'uint32', value }) as const;
export const text = (value: string) => ({ type: 'string', value }) as const;

/** A fourfold stretch of a trained context of 64 positions. */
export const YARN: GgufMetadata = {
  'rope.scaling.type': text('yarn'),
  'rope.scaling.factor': float(4),
  'rope.scaling.original_context_length': integer(64),
};

const given = (name: string, list: Float32Array): Part => ({
  name: `${name}.weight`,
  dims: [list.length],
  values: { kind: 'given', list },
});

/** The layer of most architectures. */
const plain = (shape: ArchitectureShape) => () => [
  norm('attn_norm', shape.dim),
  ...attention(shape),
  norm('ffn_norm', shape.dim),
  ...dense(shape),
];

const LONG_HEADS = shapeOf({ headDim: 64 });
const llama = { architecture: 'llama', shape: LONG_HEADS, keys: {}, layer: plain(LONG_HEADS) } as const;

/** As in the smallest real one: a width that is no multiple of 256, and a number of heads that is no power of two. */
function qwen2(): ArchitectureModel {
  const shape = shapeOf({ dim: 224, heads: 7, kvHeads: 1, ropeBase: 1e6 });
  const layer = () => [
    norm('attn_norm', shape.dim),
    ...attention(shape, { biases: ['attn_q', 'attn_k', 'attn_v'] }),
    norm('ffn_norm', shape.dim),
    ...dense(shape),
  ];
  return { name: 'qwen2', architecture: 'qwen2', type: 'Q4_K', shape, keys: {}, layer };
}

function qwen3(): ArchitectureModel {
  const shape = shapeOf({ headDim: 64, ropeBase: 1e6, tied: true });
  const layer = () => [
    norm('attn_norm', shape.dim),
    ...attention(shape, { norms: 'head' }),
    norm('ffn_norm', shape.dim),
    ...dense(shape),
  ];
  return { name: 'qwen3', architecture: 'qwen3', type: 'Q4_K', shape, keys: {}, layer };
}

/** Norms before and after each block. */
const sandwich = (shape: ArchitectureShape, block: readonly Part[], feedForward: readonly Part[]) => () => [
  norm('attn_norm', shape.dim),
  ...block,
  adding(norm('post_attention_norm', shape.dim)),
  norm('ffn_norm', shape.dim),
  ...feedForward,
  adding(norm('post_ffw_norm', shape.dim)),
];

/** Every other layer, from the first on, has the window. */
function gemma2(): ArchitectureModel {
  const scaled = { embeddingScale: Math.sqrt(BASE.dim), logitGain: 1.8 };
  const shape = shapeOf({ heads: 4, headDim: 96, tied: true, ...scaled });
  const keys = {
    'attention.sliding_window': integer(24),
    attn_logit_softcapping: float(2),
    final_logit_softcapping: float(20),
  };
  const layer = sandwich(shape, attention(shape), dense(shape));
  return { name: 'gemma2', architecture: 'gemma2', type: 'Q4_0', shape, keys, layer };
}

/** Five layers with the window and a base of 10000, then one without and a base and stretch of its own. */
function gemma3(): ArchitectureModel {
  const shape = shapeOf({
    layers: 7,
    heads: 4,
    headDim: 96,
    ffDim: 512,
    tied: true,
    embeddingScale: Math.sqrt(BASE.dim),
    ropeBase: 1e6,
  });
  const keys = {
    'attention.sliding_window': integer(24),
    'rope.scaling.type': text('linear'),
    'rope.scaling.factor': float(8),
  };
  const layer = sandwich(shape, attention(shape, { norms: 'head' }), dense(shape));
  return { name: 'gemma3', architecture: 'gemma3', type: 'Q4_0', shape, keys, layer };
}

/** @param trained context up to which the short factors hold; beyond it, the long ones and their scale */
function phi3(name: string, differences: Partial<ArchitectureShape>, trained: number): ArchitectureModel {
  // Both queries and keys are rotated by a scale.
  const scale = 1.19;
  const shape = shapeOf({ heads: 4, headDim: 64, attentionScale: scale ** 2 / 8, ...differences });
  const keys = {
    'rope.scaling.type': text('longrope'),
    'rope.scaling.original_context_length': integer(trained),
    'rope.scaling.attn_factor': float(scale),
    'attention.sliding_window': integer(24),
  };
  const layer = () => [
    norm('attn_norm', shape.dim),
    ...attention(shape, { fused: true }),
    norm('ffn_norm', shape.dim),
    ...dense(shape, true),
  ];
  const pairs = shape.ropeDims / 2;
  const others = [
    given(
      'rope_factors_long',
      Float32Array.from({ length: pairs }, (_, i) => 1 + (15 * i) / pairs),
    ),
    given(
      'rope_factors_short',
      Float32Array.from({ length: pairs }, (_, i) => 1 + (2 * i) / pairs),
    ),
  ];
  const factors = trained < CONTEXT ? 'rope_factors_short' : 'rope_factors_long';
  const unused = ['attention.sliding_window', 'rope.scaling.type', factors];
  return { name, architecture: 'phi3', type: 'Q4_K', shape, keys, layer, others, unused };
}

function glm4(): ArchitectureModel {
  const shape = shapeOf({ heads: 4, headDim: 64, ropeDims: 32 });
  const block = attention(shape, { biases: ['attn_q', 'attn_k', 'attn_v'] });
  const layer = sandwich(shape, block, dense(shape, true));
  return { name: 'glm4', architecture: 'glm4', type: 'Q4_K', shape, keys: {}, layer };
}

/** What Granite multiplies by, also in its mixture of experts. */
export const GRANITE = { attentionScale: 1 / 24, embeddingScale: 12, residualScale: 0.22, logitGain: 6 } as const;
export const GRANITE_KEYS: GgufMetadata = {
  'attention.scale': float(GRANITE.attentionScale),
  embedding_scale: float(GRANITE.embeddingScale),
  residual_scale: float(GRANITE.residualScale),
  logit_scale: float(8),
};

function granite(): ArchitectureModel {
  const shape = shapeOf({ ...GRANITE, tied: true });
  return { name: 'granite', architecture: 'granite', type: 'Q4_K', shape, keys: GRANITE_KEYS, layer: plain(shape) };
}

/** Each fourth layer has no rotation. */
function smollm3(): ArchitectureModel {
  const shape = shapeOf({ layers: 5, tied: true });
  return { name: 'smollm3', architecture: 'smollm3', type: 'Q4_K', shape, keys: {}, layer: plain(shape) };
}

function mistral3(): ArchitectureModel {
  const keys = {
    ...YARN,
    'rope.scaling.yarn_log_multiplier': float(1),
    'rope.scaling.yarn_beta_fast': float(4),
    'rope.scaling.yarn_beta_slow': float(1),
    'attention.temperature_scale': float(0.2),
  };
  return {
    name: 'mistral3',
    architecture: 'mistral3',
    type: 'Q4_K',
    shape: LONG_HEADS,
    keys,
    layer: plain(LONG_HEADS),
  };
}

/** Norms after each block alone; OLMo 3 has the window and YaRN too, but no YaRN where the window is. */
function olmo2(name: string, layers: number, keys: GgufMetadata): ArchitectureModel {
  const shape = shapeOf({ layers });
  const layer = () => [
    ...attention(shape, { norms: 'all' }),
    adding(norm('post_attention_norm', shape.dim)),
    ...dense(shape),
    adding(norm('post_ffw_norm', shape.dim)),
  ];
  return { name, architecture: 'olmo2', type: 'Q4_K', shape, keys, layer };
}

export const DENSE_MODELS: readonly ArchitectureModel[] = [
  { ...llama, name: 'llama', type: 'Q4_K' },
  {
    ...llama,
    name: 'llama-linear',
    type: 'Q4_0',
    keys: { 'rope.scaling.type': text('linear'), 'rope.scaling.factor': float(4) },
  },
  {
    ...llama,
    name: 'llama-3',
    type: 'Q4_0',
    others: [given('rope_freqs', llama3RopeFactors(LONG_HEADS.headDim, LONG_HEADS.ropeBase, 8, 64))],
  },
  { ...llama, name: 'llama-yarn', type: 'Q4_0', keys: YARN },
  qwen2(),
  qwen3(),
  gemma3(),
  gemma2(),
  phi3('phi3-long', { ropeDims: 48, tied: true }, 64),
  phi3('phi3-short', {}, 4096),
  granite(),
  smollm3(),
  mistral3(),
  glm4(),
  olmo2('olmo2', 4, {}),
  olmo2('olmo3', 5, { ...YARN, 'attention.sliding_window': integer(24) }),
];
