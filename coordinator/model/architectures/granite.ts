import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS, expertsPhase, readExpertSizes } from './experts.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { noRope, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Granite 3 and its mixtures: Llama with scales of embeddings, scores, residuals and logits. */
export const granite: Architecture = {
  keys: {
    ...EXPERT_KEYS,
    embedding_scale: 'read',
    residual_scale: 'read',
    logit_scale: 'read',
    'attention.scale': 'read',
    'rope.scaling.finetuned': 'read',
  },
  async read(source) {
    const sizes = readSizes(source);
    // A flag of scaling, which here says whether there are rotations at all.
    const isTurned = source.boolean('rope.scaling.finetuned', true);
    const outputScale = source.positive('residual_scale', 1);
    const scale = source.positive('attention.scale', 1 / Math.sqrt(sizes.headDim));
    const experts = source.number('expert_count', 0) > 0 ? readExpertSizes(source, sizes.dim, sizes.ffDim) : null;
    return {
      ...sizes,
      embeddingScale: source.positive('embedding_scale', 1),
      logitScale: 1 / source.positive('logit_scale', 1),
      ropes: [isTurned ? await readRope(source, sizes.headDim) : noRope(sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { scale, outputScale }),
        experts === null
          ? feedForwardPhase(source, layer, sizes, { outputScale })
          : expertsPhase(source, layer, experts, { normalised: true, outputScale }),
      ]),
    };
  },
};
