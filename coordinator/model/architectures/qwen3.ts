import { readDense } from './alike-layers.ts';
import type { Architecture } from './architecture.ts';

/** Qwen 3: every head of queries and keys is normed. */
export const qwen3: Architecture = {
  keys: {},
  read: (source) => readDense(source, { halved: true, normed: 'each' }),
};
