import { readMixture } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS } from './experts.ts';

/** Qwen 1.5 and 2 mixtures: the weights of the chosen networks are as they are; a shared network has a gate. */
export const qwen2moe: Architecture = {
  keys: EXPERT_KEYS,
  read: (source) => readMixture(source, { halved: true }, { normalised: false }),
};
