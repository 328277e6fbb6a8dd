import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readRope } from './rope.ts';
import { readSizes } from './sizes.ts';

/** Llama 1 to 3, and the many models of its shape. */
export const llama: Architecture = {
  async read(source) {
    const experts = source.number('expert_count', 0);
    if (experts !== 0) {
      throw source.unsupported(
        'expert_count',
        `a mixture of ${experts} experts (${source.key('expert_count')}) is not supported yet`,
      );
    }
    const sizes = readSizes(source);
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: Array.from({ length: sizes.layers }, (_, layer) => [
        attentionPhase(source, layer, sizes),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};
