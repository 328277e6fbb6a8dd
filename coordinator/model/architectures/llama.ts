import type { ModelSource } from '../model-source.ts';
import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Llama 1 to 3, Mistral, and the many models of its shape. */
export const llama: Architecture = {
  keys: {},
  async read(source) {
    refuseExperts(source);
    const sizes = readSizes(source);
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};

/** @throws StarlingError model_unsupported_architecture */
function refuseExperts(source: ModelSource): void {
  const experts = source.number('expert_count', 0);
  if (experts === 0) return;
  throw source.unsupported(
    'expert_count',
    `a mixture of ${experts} experts (${source.key('expert_count')}) is not supported yet`,
  );
}
