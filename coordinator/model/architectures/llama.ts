import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS, expertsPhase, readExpertSizes } from './experts.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Llama 1 to 3, Mistral, Mixtral, and the many models of their shape. */
export const llama: Architecture = {
  keys: EXPERT_KEYS,
  async read(source) {
    const sizes = readSizes(source);
    const experts = source.number('expert_count', 0) > 0 ? readExpertSizes(source, sizes.dim, sizes.ffDim) : null;
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes),
        experts === null
          ? feedForwardPhase(source, layer, sizes)
          : expertsPhase(source, layer, experts, { normalised: true }),
      ]),
    };
  },
};
