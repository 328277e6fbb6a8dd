import { readDense } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';

/** Qwen 2 and 2.5: biases of queries, keys and values. */
export const qwen2: Architecture = {
  keys: {},
  read: (source) => readDense(source, { halved: true }),
};
