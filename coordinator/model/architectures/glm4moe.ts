import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS, expertsPhase, readExpertSizes } from './experts.ts';
import { attentionPhase, feedForwardPhase, weight } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/**
 * GLM 4.5 and its kin: dense layers first, then mixtures with a shared network; layers that guess further tokens are
 * left out.
 */
export const glm4moe: Architecture = {
  keys: {
    ...EXPERT_KEYS,
    leading_dense_block_count: 'read',
    expert_shared_count: 'read',
    nextn_predict_layers: 'read',
  },
  async read(source) {
    const all = readSizes(source);
    const ahead = source.integer('nextn_predict_layers', 0, all.layers - 1, 0);
    const sizes = { ...all, layers: all.layers - ahead };
    source.tensors.leaveOut(new RegExp(`^blk\\.(${numbers(sizes.layers, all.layers)})\\.`));
    const each = readExpertSizes(source, sizes.dim);
    const shared = source.integer('expert_shared_count', 0, 64, 0);
    const experts = { ...each, sharedFfDim: each.sharedFfDim ?? each.ffDim * shared };
    const dense = source.integer('leading_dense_block_count', 0, all.layers, 0);
    const halves = { dims: readDims(source, sizes.headDim) };
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, {
          halves,
          normed: source.tensors.has(weight(layer, 'attn_q_norm')) ? 'each' : 'none',
        }),
        layer < dense
          ? feedForwardPhase(source, layer, sizes, { inputNorm: 'post_attention_norm' })
          : expertsPhase(source, layer, experts, {
              ...{ inputNorm: 'post_attention_norm', gating: 'sigmoid', normalised: false },
            }),
      ]),
    };
  },
};

/** Numbers as alternatives of a pattern; one that matches nothing where there are none. */
const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => from + i).join('|') || '$^';
