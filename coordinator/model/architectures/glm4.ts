import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** GLM 4: part of each head is turned, results are normed, gate and up are one tensor. */
export const glm4: Architecture = {
  keys: {},
  async read(source) {
    const sizes = readSizes(source);
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { outputNorm: 'post_attention_norm' }),
        feedForwardPhase(source, layer, sizes, { fusedGate: true, outputNorm: 'post_ffw_norm' }),
      ]),
    };
  },
};
