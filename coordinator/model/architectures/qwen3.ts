import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Qwen 3: every head of queries and keys is normed. */
export const qwen3: Architecture = {
  keys: {},
  async read(source) {
    const sizes = readSizes(source);
    const halves = { dims: readDims(source, sizes.headDim) };
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { halves, normed: 'each' }),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};
