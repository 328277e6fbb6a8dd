import { readDense } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';

/** GLM 4: part of each head is turned, results are normed, gate and up are one tensor. */
export const glm4: Architecture = {
  keys: {},
  read: (source) =>
    readDense(
      source,
      { halved: false, outputNorm: 'post_attention_norm' },
      { fusedGate: true, outputNorm: 'post_ffw_norm' },
    ),
};
