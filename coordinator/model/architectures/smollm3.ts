import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { noRope, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** One layer in so many knows no positions. */
const UNTURNED_EVERY = 4;

/** SmolLM 3: Llama, some of whose layers have no rotations. */
export const smollm3: Architecture = {
  keys: {},
  async read(source) {
    const sizes = readSizes(source);
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim), noRope(sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { ropes: (layer + 1) % UNTURNED_EVERY === 0 ? [1, 1] : [0, 0] }),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};
