import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS, expertsPhase, readExpertSizes } from './experts.ts';
import { attentionPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Qwen 3 mixtures. */
export const qwen3moe: Architecture = {
  keys: EXPERT_KEYS,
  async read(source) {
    const sizes = readSizes(source, 1);
    const experts = readExpertSizes(source, sizes.dim);
    const halves = { dims: readDims(source, sizes.headDim) };
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { halves, normed: 'each' }),
        expertsPhase(source, layer, experts, { normalised: true }),
      ]),
    };
  },
};
