import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readDims, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Phi 3, 3.5 and 4: fused tensors, and rotations of short and of long texts. */
export const phi3: Architecture = {
  // llama.cpp computes no window for it either.
  keys: { 'attention.sliding_window': 'aside' },
  async read(source) {
    const sizes = readSizes(source);
    const halves = { dims: readDims(source, sizes.headDim) };
    return {
      ...sizes,
      ropes: [await readRope(source, sizes.headDim)],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { halves }),
        feedForwardPhase(source, layer, sizes, { fusedGate: true }),
      ]),
    };
  },
};
