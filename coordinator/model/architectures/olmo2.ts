import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase, normsOf } from './phases.ts';
import { plainRope, readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Where there is a window, of so many layers the last sees all positions. */
const GLOBAL_EVERY = 4;

/**
 * OLMo 2: results are normed, inputs are not, and queries and keys are, over all heads together. OLMo 3: the same, with
 * local layers that have a window and rotations without scaling.
 */
export const olmo2: Architecture = {
  keys: { 'attention.sliding_window': 'read', 'attention.sliding_window_pattern': 'aside' },
  async read(source) {
    const sizes = readSizes(source);
    const { headDim } = sizes;
    const halves = { dims: readDims(source, headDim) };
    const window = source.integer('attention.sliding_window', 0, 2 ** 24, 0);
    const isLocal = (layer: number): boolean => window > 0 && layer % GLOBAL_EVERY < GLOBAL_EVERY - 1;
    const local = plainRope(source, headDim, source.positive('rope.freq_base', 10_000));
    return {
      ...sizes,
      ropes: [await readRope(source, headDim), ...(window > 0 ? [local] : [])],
      layers: layersOf(sizes, (layer) => {
        const attention = attentionPhase(source, layer, sizes, {
          ...{ halves, normed: 'all', inputNorm: null, outputNorm: 'post_attention_norm' },
          ...(isLocal(layer) ? { window, ropes: [1, 1] } : {}),
        });
        if (attention.q.bias !== null)
          throw source.tensors.invalid(`${attention.q.bias.tensor.name} is not supported beside a norm over all heads`);
        return [
          normsOf(attention),
          attention,
          feedForwardPhase(source, layer, sizes, { inputNorm: null, outputNorm: 'post_ffw_norm' }),
        ];
      }),
    };
  },
};
