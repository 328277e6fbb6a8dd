import { readMixture } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';
import { EXPERT_KEYS } from './experts.ts';

/** Qwen 3 mixtures. */
export const qwen3moe: Architecture = {
  keys: EXPERT_KEYS,
  read: (source) => readMixture(source, { halved: true, normed: 'each' }, { normalised: true }),
};
