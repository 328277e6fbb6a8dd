import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Its largest model scales scores by the width that each head has of the residual stream. */
const LAYERS_OF_27B = 46;

/** Gemma 2: every other layer sees a window; results are normed; scores and logits are bounded. */
export const gemma2: Architecture = {
  keys: {
    attn_logit_softcapping: 'read',
    final_logit_softcapping: 'read',
    'attention.sliding_window': 'read',
    hidden_activation: ['gelu_pytorch_tanh', 'gelu'],
  },
  async read(source) {
    const sizes = readSizes(source);
    const { dim, heads, headDim, layers } = sizes;
    const halves = { dims: readDims(source, headDim) };
    const window = source.integer('attention.sliding_window', 1, 2 ** 24, 4096);
    const scale = 1 / Math.sqrt(layers === LAYERS_OF_27B ? dim / heads : headDim);
    const softCap = source.positive('attn_logit_softcapping', 50);
    return {
      ...sizes,
      embeddingScale: Math.sqrt(dim),
      logitCap: source.positive('final_logit_softcapping', 30),
      ropes: [await readRope(source, headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, {
          ...{ halves, scale, softCap, outputNorm: 'post_attention_norm' },
          window: layer % 2 === 0 ? window : 0,
        }),
        feedForwardPhase(source, layer, sizes, { activation: 'gelu', outputNorm: 'post_ffw_norm' }),
      ]),
    };
  },
};
