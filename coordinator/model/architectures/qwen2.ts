import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Qwen 2 and 2.5: biases of queries, keys and values. */
export const qwen2: Architecture = {
  keys: {},
  async read(source) {
    const sizes = readSizes(source);
    const halves = { dims: readDims(source, sizes.headDim) };
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { halves }),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};
