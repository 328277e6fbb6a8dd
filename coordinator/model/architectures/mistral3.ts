import type { Architecture } from './architecture.ts';
import { attentionPhase, feedForwardPhase } from './phases.ts';
import { readOriginalLength, readRope } from './rope.ts';
import { layersOf, readSizes } from './sizes.ts';

/** Ministral 3 and Mistral Large 3's dense kin: Llama with queries that grow with the position. */
export const mistral3: Architecture = {
  keys: { 'attention.temperature_scale': 'read', 'attention.temperature_length': 'read' },
  async read(source) {
    const sizes = readSizes(source);
    const keys = await readRope(source, sizes.headDim);
    const scale = source.number('attention.temperature_scale', 0);
    const every = source.integer('attention.temperature_length', 0, 2 ** 24, readOriginalLength(source));
    const queries = scale === 0 || every === 0 ? keys : { ...keys, temperature: { scale, every } };
    return {
      ...sizes,
      ropes: [keys, queries],
      layers: layersOf(sizes, (layer) => [
        attentionPhase(source, layer, sizes, { ropes: [0, 1] }),
        feedForwardPhase(source, layer, sizes),
      ]),
    };
  },
};
