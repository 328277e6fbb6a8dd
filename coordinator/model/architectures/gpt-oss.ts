import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS, expertsPhase, readExpertSizes } from './experts.ts';
import { attentionPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** gpt-oss: a window on every other layer, sinks, biases everywhere, gated units that are clamped. */
export const gptOss: Architecture = {
  keys: { ...EXPERT_KEYS, 'attention.sliding_window': 'read' },
  async read(source) {
    const sizes = readSizes(source, 1);
    const experts = readExpertSizes(source, sizes.dim);
    const halves = { dims: readDims(source, sizes.headDim) };
    const window = source.integer('attention.sliding_window', 1, 2 ** 24);
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { halves, sinks: true, window: layer % 2 === 0 ? window : 0 }),
        expertsPhase(source, layer, experts, {
          ...{ inputNorm: 'post_attention_norm', activation: 'clamped' },
          ...{ gating: 'softmax-of-chosen', normalised: false },
        }),
      ]),
    };
  },
};
