import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { plainRope, readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Its largest model scales scores by the width that each head has of the residual stream. */
const LAYERS_OF_27B = 62;
/** Of so many layers the last sees all positions. */
const GLOBAL_EVERY = 6;

/** Gemma 3: local layers with a window and rotations of their own, global ones; heads and results are normed. */
export const gemma3: Architecture = {
  keys: {
    final_logit_softcapping: 'read',
    'attention.sliding_window': 'read',
    'attention.sliding_window_pattern': [GLOBAL_EVERY],
    'rope.freq_base_swa': 'read',
    hidden_activation: ['gelu_pytorch_tanh', 'gelu'],
  },
  async read(source) {
    const sizes = readSizes(source);
    const { dim, heads, headDim, layers } = sizes;
    const halves = { dims: readDims(source, headDim) };
    const window = source.integer('attention.sliding_window', 0, 2 ** 24, 0);
    const scale = 1 / Math.sqrt(layers === LAYERS_OF_27B ? dim / heads : headDim);
    const isLocal = (layer: number): boolean => window > 0 && layer % GLOBAL_EVERY < GLOBAL_EVERY - 1;
    return {
      ...sizes,
      embeddingScale: Math.sqrt(dim),
      logitCap: source.number('final_logit_softcapping', 0),
      ropes: [
        await readRope(source, headDim),
        plainRope(source, headDim, source.positive('rope.freq_base_swa', 10_000)),
      ],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, {
          ...{ halves, scale, normed: 'each', outputNorm: 'post_attention_norm' },
          ...(isLocal(layer) ? { window, ropes: [1, 1] } : {}),
        }),
        feedForwardPhase(source, layer, sizes, { activation: 'gelu', outputNorm: 'post_ffw_norm' }),
      ]),
    };
  },
};
